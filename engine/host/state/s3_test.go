package state

import (
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// s3 starts a server of S3's protocol, and gives the URL of a bucket in it.
func s3(t *testing.T) string {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "of-the-test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of-the-test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	kept := s3mem.New()
	server := httptest.NewServer(gofakes3.New(kept, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	if err := kept.CreateBucket("states"); err != nil {
		t.Fatal(err)
	}
	return "s3://states?region=us-east-1&s3ForcePathStyle=true&endpoint=" + server.URL
}
