package state

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

func TestStorageThatDoesNotAnswerEndsEachCall(t *testing.T) {
	// It takes connections and says nothing.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
	} {
		t.Setenv(name, value)
	}
	before := deadline.Call
	t.Cleanup(func() { deadline.Call = before })
	deadline.Call = 50 * time.Millisecond
	url := "s3://b?s3ForcePathStyle=true&endpoint=http://" + mute.Addr().String()
	opened, _, err := openFiles(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	b := opened.(*bucket)
	// As of a run that is to end by force: its writes go on.
	forced, force := context.WithCancel(t.Context())
	force()
	ctx := context.WithoutCancel(forced)
	calls := map[string]func() error{
		"read":   func() error { _, err := b.read(ctx, "k"); return err },
		"write":  func() error { return b.write(ctx, "k", []byte("x"), true) },
		"copy":   func() error { return b.copy(ctx, "k", "l") },
		"remove": func() error { return b.remove(ctx, "k") },
		"list":   func() error { _, err := b.list(ctx, "d"); return err },
		"tree":   func() error { _, err := b.tree(ctx, "d"); return err },
		"open": func() error {
			_, err := Open(ctx, url, &workspace.Project{Name: testProject}, 0)
			return err
		},
	}
	for name, call := range calls {
		ended := make(chan error, 1)
		go func() { ended <- call() }()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "did not answer within 50ms") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s waits", name)
		}
	}
}
