// Package obey does what a test says with one of Go-Micro's own stores, so that the test can work on the same bucket or Redis
// database from both sides. A request is a line of JSON on standard input, its answer a line of JSON on standard output; it ends
// with its input.
package obey

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Request says what to do and with which options; values are base64, times nanoseconds. Which fields a verb looks at is what
// Go-Micro's options of that verb are.
type Request struct {
	Do string `json:"do"`
	// Which open store.
	Store string `json:"store"`

	// open
	URL         string        `json:"url"`
	EncodeKeys  bool          `json:"encode_keys"`
	DefaultTTL  time.Duration `json:"default_ttl"`
	Memory      bool          `json:"memory"`
	Description string        `json:"description"`

	// Where; of open, the store's own. Addressed says that the option is given at all.
	Addressed bool   `json:"addressed"`
	Database  string `json:"database"`
	Table     string `json:"table"`

	// write; with Times above 0, so often, each time with the number of it behind the value.
	Key         string                 `json:"key"`
	Value       []byte                 `json:"value"`
	Metadata    map[string]interface{} `json:"metadata"`
	Expiry      time.Duration          `json:"expiry"`
	WriteTTL    time.Duration          `json:"write_ttl"`
	WriteExpiry *time.Time             `json:"write_expiry"`
	Times       int                    `json:"times"`
	Pause       time.Duration          `json:"pause"`

	// read (with Key) and list
	ReadPrefix bool   `json:"read_prefix"`
	ReadSuffix bool   `json:"read_suffix"`
	Prefix     string `json:"prefix"`
	Suffix     string `json:"suffix"`
	Limit      uint   `json:"limit"`
	Offset     uint   `json:"offset"`

	// read and list; above 0, so often, and only how long that took is answered, and how many came.
	Repeat int `json:"repeat"`
}

// Record is Go-Micro's, of whichever version.
type Record struct {
	Key      string                 `json:"key"`
	Value    []byte                 `json:"value"`
	Metadata map[string]interface{} `json:"metadata"`
	Expiry   time.Duration          `json:"expiry"`
}

// Answer holds what a verb returned.
type Answer struct {
	Error    string   `json:"error,omitempty"`
	NotFound bool     `json:"not_found,omitempty"`
	Records  []Record `json:"records,omitempty"`
	Keys     []string `json:"keys,omitempty"`
	Found    int      `json:"found,omitempty"`
	Nanos    int64    `json:"nanos,omitempty"`
}

// Store is Go-Micro's interface, without the types of one version of it.
type Store interface {
	Read(r *Request) ([]Record, error)
	Write(r *Request, value []byte) error
	Delete(r *Request) error
	DeleteBucket(r *Request) error
	List(r *Request) ([]string, error)
	Close() error
	// IsNotFound tells the version's own ErrNotFound.
	IsNotFound(err error) bool
}

// Open makes a store as a request says.
type Open func(r *Request) (Store, error)

func (open Open) obey(stores map[string]Store, r *Request) (answer Answer, err error) {
	if r.Do == "open" {
		store, err := open(r)
		if err == nil {
			stores[r.Store] = store
		}
		return answer, err
	}
	store, ok := stores[r.Store]
	if !ok {
		return answer, fmt.Errorf("no open store %q", r.Store)
	}
	if r.Repeat > 0 {
		return timed(store, r)
	}
	switch r.Do {
	case "write":
		err = write(store, r)
	case "read":
		answer.Records, err = store.Read(r)
	case "list":
		answer.Keys, err = store.List(r)
	case "delete":
		err = store.Delete(r)
	case "delete_bucket":
		err = store.DeleteBucket(r)
	case "close":
		err = store.Close()
	default:
		err = fmt.Errorf("no verb %q", r.Do)
	}
	answer.NotFound = err != nil && store.IsNotFound(err)
	return answer, err
}

func timed(store Store, r *Request) (answer Answer, err error) {
	begin := time.Now()
	for i := 0; i < r.Repeat && err == nil; i++ {
		switch r.Do {
		case "read":
			var found []Record
			found, err = store.Read(r)
			answer.Found = len(found)
		case "list":
			var found []string
			found, err = store.List(r)
			answer.Found = len(found)
		default:
			err = fmt.Errorf("%q is not repeated", r.Do)
		}
	}
	answer.Nanos = time.Since(begin).Nanoseconds()
	return answer, err
}

func write(store Store, r *Request) error {
	if r.Times == 0 {
		return store.Write(r, r.Value)
	}
	for i := 0; i < r.Times; i++ {
		value := strconv.AppendInt(append([]byte{}, r.Value...), int64(i), 10)
		if err := store.Write(r, value); err != nil {
			return err
		}
		time.Sleep(r.Pause)
	}
	return nil
}

// Requests does what standard input says, until it ends.
func (open Open) Requests() {
	stores := map[string]Store{}
	requests := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var request Request
		var answer Answer
		if err = json.Unmarshal(line, &request); err == nil {
			answer, err = open.obey(stores, &request)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return
		}
	}
}
