// Program nats obeys a test with Go-Micro's nats-js-kv store.
package main

import (
	"errors"

	"go-micro/obey"

	"go-micro.dev/v5/store"
	natsjskv "go-micro.dev/v5/store/nats-js-kv"
)

// natsStore is the store that comes with Go-Micro itself.
type natsStore struct{ store.Store }

func openNats(r *obey.Request) (obey.Store, error) {
	options := []store.Option{store.Nodes(r.URL)}
	if r.Addressed {
		options = append(options, store.Database(r.Database), store.Table(r.Table))
	}
	if r.EncodeKeys {
		options = append(options, natsjskv.EncodeKeys())
	}
	if r.DefaultTTL > 0 {
		options = append(options, natsjskv.DefaultTTL(r.DefaultTTL))
	}
	if r.Memory {
		options = append(options, natsjskv.DefaultMemory())
	}
	if r.Description != "" {
		options = append(options, natsjskv.DefaultDescription(r.Description))
	}
	s := natsjskv.NewStore(options...)
	return natsStore{s}, s.Init()
}

func (s natsStore) Read(r *obey.Request) ([]obey.Record, error) {
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

func (s natsStore) Write(r *obey.Request, value []byte) error {
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

func (s natsStore) Delete(r *obey.Request) error {
	var options []store.DeleteOption
	if r.Addressed {
		options = append(options, store.DeleteFrom(r.Database, r.Table))
	}
	return s.Store.Delete(r.Key, options...)
}

func (s natsStore) DeleteBucket(r *obey.Request) error {
	return s.Store.Delete(r.Key, natsjskv.DeleteBucket())
}

func (s natsStore) List(r *obey.Request) ([]string, error) {
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

func (s natsStore) IsNotFound(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, natsjskv.ErrBucketNotFound)
}

func main() { obey.Open(openNats).Requests() }
