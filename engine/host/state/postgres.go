package state

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"
	"time"

	pulumi "github.com/pulumi/pulumi/pkg/v3/backend/diy/postgres"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// Pulumi's own driver for PostgreSQL lists with a pattern in which `_` is any letter, and panics on a key that only
// looks like the prefix; and it asks for each key while it reads the list, so that a few lists at once use up its pool
// and wait for each other for good. A process that lives on and has many runs meets both. So the host opens the same
// table itself, also for the stock backend, under a scheme of its own.
const (
	postgresScheme    = "postgres"
	ownPostgresScheme = "pilot-postgres"
)

func init() { blob.DefaultURLMux().RegisterBucket(ownPostgresScheme, opener{}) }

// ownURL is how the stock backend finds our driver.
func ownURL(address string) string {
	if rest, is := strings.CutPrefix(address, postgresScheme+"://"); is {
		return ownPostgresScheme + "://" + rest
	}
	return address
}

type opener struct{}

// OpenBucketURL lets Pulumi's driver make the table where there is none.
func (opener) OpenBucketURL(ctx context.Context, address *url.URL) (*blob.Bucket, error) {
	theirs := *address
	theirs.Scheme = postgresScheme
	name := address.String()
	table := theirs.Query().Get("table")
	if table == "" {
		table = "pulumi_state"
	}
	err := patiently(ctx, func() error {
		// It takes its own parameters out of the URL, which is all that is kept of it.
		theirs = *address
		theirs.Scheme = postgresScheme
		made, err := pulumi.NewPostgresBucket(ctx, &theirs)
		if err != nil {
			return err
		}
		return made.Close()
	})
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("postgres", theirs.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(max(8, 2*runtime.GOMAXPROCS(0)))
	db.SetConnMaxIdleTime(time.Minute)
	return blob.NewBucket(&rows{db: db, table: table, name: name}), nil
}

// rows are the objects of a bucket: a key, and the bytes in JSON, as Pulumi's driver has them. The table's name is the
// operator's own, from the URL.
type rows struct {
	db    *sql.DB
	table string
	// name is the URL: it tells the table from others in this process.
	name string
}

var errNoKey = errors.New("there is no such key")

func (r *rows) query(text string) string { return strings.ReplaceAll(text, "TABLE", r.table) }

// ListPaged gives everything below the prefix as one page, in one query.
func (r *rows) ListPaged(ctx context.Context, options *driver.ListOptions) (page *driver.ListPage, err error) {
	err = patiently(ctx, func() (err error) {
		page, err = r.list(ctx, options)
		return err
	})
	return page, err
}

func (r *rows) list(ctx context.Context, options *driver.ListOptions) (*driver.ListPage, error) {
	found, err := r.db.QueryContext(ctx, r.query(`SELECT key, updated_at, octet_length(data->>'data') / 4 * 3 FROM TABLE
		WHERE starts_with(key, $1) ORDER BY key COLLATE "C"`), options.Prefix)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	page := &driver.ListPage{}
	folder := ""
	for found.Next() {
		object := &driver.ListObject{}
		if err := found.Scan(&object.Key, &object.ModTime, &object.Size); err != nil {
			return nil, err
		}
		if options.Delimiter != "" {
			below, _, inside := strings.Cut(object.Key[len(options.Prefix):], options.Delimiter)
			if inside {
				object = &driver.ListObject{Key: options.Prefix + below + options.Delimiter, IsDir: true}
				if object.Key == folder {
					continue
				}
				folder = object.Key
			}
		}
		page.Objects = append(page.Objects, object)
	}
	return page, found.Err()
}

// Attributes tells the time and the size of an object.
func (r *rows) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	told := &driver.Attributes{ContentType: octets}
	return told, r.one(ctx, `SELECT updated_at, octet_length(data->>'data') / 4 * 3 FROM TABLE WHERE key = $1`, []any{key},
		&told.ModTime, &told.Size)
}

// one does a query that gives one row.
func (r *rows) one(ctx context.Context, query string, args []any, into ...any) error {
	return patiently(ctx, func() error { return r.db.QueryRowContext(ctx, r.query(query), args...).Scan(into...) })
}

const octets = "application/octet-stream"

// NewRangeReader reads an object as a whole: states are read so.
func (r *rows) NewRangeReader(
	ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions,
) (driver.Reader, error) {
	var encoded string
	about := driver.ReaderAttributes{ContentType: octets}
	err := r.one(ctx, `SELECT data->>'data', updated_at FROM TABLE WHERE key = $1`, []any{key}, &encoded, &about.ModTime)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	about.Size = int64(len(data))
	if offset > about.Size {
		return nil, fmt.Errorf("%s has %d bytes, and is read from %d", key, about.Size, offset)
	}
	data = data[offset:]
	if length >= 0 && length < int64(len(data)) {
		data = data[:length]
	}
	return &rowReader{strings.NewReader(string(data)), about}, nil
}

type rowReader struct {
	io.Reader
	about driver.ReaderAttributes
}

func (r *rowReader) Close() error                         { return nil }
func (r *rowReader) As(any) bool                          { return false }
func (r *rowReader) Attributes() *driver.ReaderAttributes { return &r.about }

// NewTypedWriter writes an object as a whole, when it is closed.
func (r *rows) NewTypedWriter(
	ctx context.Context, key, _ string, options *driver.WriterOptions,
) (driver.Writer, error) {
	if options != nil && options.BeforeWrite != nil {
		if err := options.BeforeWrite(func(any) bool { return false }); err != nil {
			return nil, err
		}
	}
	return &rowWriter{ctx: ctx, rows: r, key: key}, nil
}

type rowWriter struct {
	ctx  context.Context
	rows *rows
	key  string
	data []byte
}

func (w *rowWriter) Write(data []byte) (int, error) {
	w.data = append(w.data, data...)
	return len(data), nil
}

func (w *rowWriter) Close() error {
	// A write that is given up ends with its context.
	if err := w.ctx.Err(); err != nil {
		return err
	}
	data, err := json.Marshal(map[string]string{"data": base64.StdEncoding.EncodeToString(w.data)})
	if err != nil {
		return err
	}
	r := w.rows
	err = r.change(w.ctx, fenceOver(r.name, w.key), `INSERT INTO TABLE (key, data) SELECT $1::text, $2::json FROM held
		ON CONFLICT (key) DO UPDATE SET data = EXCLUDED.data, updated_at = now()`, w.key, string(data))
	if taken := ownerOf(w.ctx); err == nil && taken != nil {
		taken.raise(r.name, w.key)
	}
	return err
}

// Copy is one statement, so that nobody finds half of it.
func (r *rows) Copy(ctx context.Context, to, from string, _ *driver.CopyOptions) error {
	return r.change(ctx, fenceOver(r.name, to), `INSERT INTO TABLE (key, data)
		SELECT $1::text, data FROM TABLE, held WHERE key = $2
		ON CONFLICT (key) DO UPDATE SET data = EXCLUDED.data, updated_at = now()`, to, from)
}

// Delete removes an object that is there.
func (r *rows) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	f := fenceOver(r.name, key)
	if f == nil || f.object() != key {
		return r.remove(ctx, f, key)
	}
	// A stock call that locks by itself has ended. The stack is held on.
	if ownerOf(ctx) != f {
		return nil
	}
	err := r.remove(ctx, nil, key)
	if err == nil || errors.Is(err, errNoKey) {
		f.lower()
		return nil
	}
	return err
}

func (r *rows) remove(ctx context.Context, f *fence, key string) error {
	return r.change(ctx, f, `DELETE FROM TABLE USING held WHERE key = $1`, key)
}

// change does a statement that writes: behind a fence only if the lock is there, which nobody can delete until the
// statement has ended. It joins `held`, which has one row then. That of a stack that nobody holds here always has.
func (r *rows) change(ctx context.Context, f *fence, statement string, args ...any) error {
	lock := `SELECT 1`
	if f != nil {
		args = append(args, f.object())
		lock = fmt.Sprintf(`SELECT 1 FROM TABLE WHERE key = $%d FOR KEY SHARE`, len(args))
	}
	var held, done bool
	err := r.one(ctx, `WITH held AS (`+lock+`), done AS (`+statement+` RETURNING 1)
		SELECT EXISTS (SELECT FROM held), EXISTS (SELECT FROM done)`, args, &held, &done)
	switch {
	case err != nil:
		return err
	case !held:
		return f.broken()
	case !done:
		return errNoKey
	}
	return nil
}

// ErrorCode tells what is not there from all else.
func (r *rows) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, errNoKey) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

// SignedURL is what no table has.
func (r *rows) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.New("a table has no signed URLs")
}

// As and ErrorAs give nothing away.
func (r *rows) As(any) bool             { return false }
func (r *rows) ErrorAs(error, any) bool { return false }
func (r *rows) Close() error            { return r.db.Close() }
