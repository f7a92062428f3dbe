package state

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/pkg/v3/authhelpers"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
)

const (
	fileScheme = "file://"
	checksums  = "request_checksum_calculation"
)

// openFiles opens the storage that the stock backend of this URL uses, so that both see the same keys. The name
// identifies the storage in this process.
func openFiles(ctx context.Context, address string) (storage files, name string, err error) {
	if rest, ok := strings.CutPrefix(address, fileScheme); ok {
		return openFolder(rest)
	}
	parsed, err := url.Parse(ownURL(address))
	if err != nil {
		return nil, "", fmt.Errorf("the backend's URL: %w", err)
	}
	if parsed.Scheme == "s3" {
		modernS3(parsed)
	}
	mux := blob.DefaultURLMux()
	switch parsed.Scheme {
	case gcsblob.Scheme:
		if mux, err = authhelpers.GoogleCredentialsMux(ctx); err != nil {
			return nil, "", err
		}
	case azureblob.Scheme:
		mux = azure()
	}
	blobs, err := mux.OpenBucketURL(ctx, parsed)
	if err != nil {
		return nil, "", fmt.Errorf("open the backend's storage: %w", err)
	}
	if prefix := strings.TrimLeft(parsed.Path, "/"); prefix != "" {
		blobs = blob.PrefixedBucket(blobs, strings.TrimSuffix(prefix, "/")+"/")
	}
	return &bucket{blobs: blobs}, address, nil
}

// openFolder reads the address as the stock backend and the library under it do: the user's home is that of the
// system, and what is left is the path of a URL, with its escapes.
func openFolder(rest string) (files, string, error) {
	path, _, _ := strings.Cut(rest, "?")
	if path == "~" || strings.HasPrefix(path, "~/") {
		own, err := user.Current()
		if err != nil {
			return nil, "", err
		}
		path = filepath.Join(own.HomeDir, path[1:])
	}
	path, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return nil, "", err
	}
	parsed, err := url.Parse(fileScheme + filepath.ToSlash(path))
	if err != nil {
		return nil, "", fmt.Errorf("the backend's URL: %w", err)
	}
	path = filepath.FromSlash(parsed.Path)
	name := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		name = real
	}
	return &folder{root: path}, fileScheme + name, nil
}

// azure lets the URL name another endpoint than the environment, also where that has a token: it is the user's own.
func azure() *blob.URLMux {
	mux := &blob.URLMux{}
	mux.RegisterBucket(azureblob.Scheme, &azureblob.URLOpener{
		MakeClient:        azureblob.NewDefaultClient,
		ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions(),
	})
	return mux
}

// modernS3 rewrites the parameters of old URLs that the stock backend still takes and the bucket library does not,
// and asks servers other than AWS for no checksums that some of them refuse.
func modernS3(address *url.URL) {
	query := address.Query()
	scheme := "https://"
	if query.Has("disableSSL") {
		if off, err := strconv.ParseBool(query.Get("disableSSL")); err == nil && off {
			scheme = "http://"
		}
		query.Del("disableSSL")
		// An endpoint that names its scheme has the last word.
		if !strings.Contains(query.Get("endpoint"), "://") {
			query.Set("disable_https", strconv.FormatBool(scheme == "http://"))
		}
	}
	if endpoint := query.Get("endpoint"); endpoint != "" {
		if !strings.Contains(endpoint, "://") {
			query.Set("endpoint", scheme+endpoint)
		}
		if !query.Has(checksums) && os.Getenv("AWS_REQUEST_CHECKSUM_CALCULATION") == "" {
			query.Set(checksums, "when_required")
		}
	}
	address.RawQuery = query.Encode()
}
