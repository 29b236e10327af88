// Program redis obeys a test with Go-Micro's Redis store.
package main

import (
	"errors"

	"go-micro/obey"

	"github.com/go-micro/plugins/v4/store/redis"
	"go-micro.dev/v4/store"
)

// redisStore is the plugin, in the version for Go-Micro 4; that for 5 sends the same.
type redisStore struct{ store.Store }

func openRedis(r *obey.Request) (obey.Store, error) {
	options := []store.Option{store.Nodes(r.URL)}
	if r.Addressed {
		options = append(options, store.Database(r.Database), store.Table(r.Table))
	}
	s := redis.NewStore(options...)
	return redisStore{s}, s.Init()
}

func (s redisStore) Read(r *obey.Request) ([]obey.Record, error) {
	var options []store.ReadOption
	if r.Addressed {
		options = append(options, store.ReadFrom(r.Database, r.Table))
	}
	if r.ReadPrefix {
		options = append(options, store.ReadPrefix())
	}
	if r.ReadSuffix {
		options = append(options, store.ReadSuffix())
	}
	if r.Limit > 0 {
		options = append(options, store.ReadLimit(r.Limit))
	}
	if r.Offset > 0 {
		options = append(options, store.ReadOffset(r.Offset))
	}
	found, err := s.Store.Read(r.Key, options...)
	records := make([]obey.Record, 0, len(found))
	for _, record := range found {
		records = append(records, obey.Record{
			Key: record.Key, Value: record.Value, Metadata: record.Metadata, Expiry: record.Expiry,
		})
	}
	return records, err
}

func (s redisStore) Write(r *obey.Request, value []byte) error {
	var options []store.WriteOption
	if r.Addressed {
		options = append(options, store.WriteTo(r.Database, r.Table))
	}
	if r.WriteTTL != 0 {
		options = append(options, store.WriteTTL(r.WriteTTL))
	}
	if r.WriteExpiry != nil {
		options = append(options, store.WriteExpiry(*r.WriteExpiry))
	}
	record := store.Record{Key: r.Key, Value: value, Metadata: r.Metadata, Expiry: r.Expiry}
	return s.Store.Write(&record, options...)
}

func (s redisStore) Delete(r *obey.Request) error {
	var options []store.DeleteOption
	if r.Addressed {
		options = append(options, store.DeleteFrom(r.Database, r.Table))
	}
	return s.Store.Delete(r.Key, options...)
}

func (s redisStore) DeleteBucket(*obey.Request) error {
	return errors.New("a Redis store has no buckets")
}

func (s redisStore) List(r *obey.Request) ([]string, error) {
	var options []store.ListOption
	if r.Addressed {
		options = append(options, store.ListFrom(r.Database, r.Table))
	}
	if r.Prefix != "" {
		options = append(options, store.ListPrefix(r.Prefix))
	}
	if r.Suffix != "" {
		options = append(options, store.ListSuffix(r.Suffix))
	}
	if r.Limit > 0 {
		options = append(options, store.ListLimit(r.Limit))
	}
	if r.Offset > 0 {
		options = append(options, store.ListOffset(r.Offset))
	}
	return s.Store.List(options...)
}

func (s redisStore) IsNotFound(err error) bool {
	return errors.Is(err, store.ErrNotFound)
}

func main() { obey.Open(openRedis).Requests() }
