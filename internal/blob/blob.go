// Package blob keeps recordings in object storage. Keys are opaque: a municipality's id and a random one, never a name,
// a number or a client's id. It knows nothing of clients.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

// Store is one bucket.
type Store struct{ bucket *blob.Bucket }

// OpenFolder opens (and makes) a folder as a bucket.
func OpenFolder(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, err
	}
	return &Store{bucket}, nil
}

// Close lets the bucket go.
func (s *Store) Close() error { return s.bucket.Close() }

// NewKey makes the opaque key of a new object of a municipality.
func NewKey(municipality int) string {
	id := uuid.NewString()
	return fmt.Sprintf("%d/%s/%s", municipality, id[:2], id)
}

// Put stores an object.
func (s *Store) Put(ctx context.Context, key, contentType string, data []byte) error {
	return away(s.bucket.WriteAll(ctx, key, data, &blob.WriterOptions{ContentType: contentType}))
}

// Open reads an object; problem.NotFound when there is none.
func (s *Store) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	reader, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, away(err)
	}
	return reader, nil
}

// Remove deletes an object and then asks the store itself whether it is gone: nil means verified absent.
// Removing what is not there succeeds, so a repeated job does no harm.
func (s *Store) Remove(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return away(err)
	}
	there, err := s.bucket.Exists(ctx, key)
	if err != nil {
		return away(err)
	}
	if there {
		return problem.Conflict{Code: "blob_still_there"}
	}
	return nil
}

// Keys lists every key with the prefix, in order: for the sweeps and tests that look for what is left.
func (s *Store) Keys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	list := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err != nil {
			return nil, away(err)
		}
		keys = append(keys, object.Key)
	}
}

// away keeps the store's own words, which hold keys and paths, out of errors that travel.
func away(err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return problem.NotFound{What: "object"}
	}
	return problem.Unavailable{What: "blob store"}
}
