package service

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// echo is a service whose users are called as their tokens.
func echo(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, known := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
		switch {
		case !known || name == "nobody":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/user":
			_, _ = w.Write([]byte(`{"githubLogin": "` + name + `", "organizations": []}`))
		default:
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func sink(t *testing.T) diag.Sink {
	return diag.DefaultSink(t.Output(), t.Output(), diag.FormatOptions{Color: colors.Never})
}

func TestRunsThatConnectAtOnceAreWhoTheirTokensSayAndLeaveNoneBehind(t *testing.T) {
	t.Setenv("PULUMI_HOME", t.TempDir())
	folder := filepath.Join(t.TempDir(), "credentials")
	if err := Private(folder); err != nil {
		t.Fatal(err)
	}
	url, project := echo(t), &workspace.Project{Name: "shop"}
	var all sync.WaitGroup
	for _, token := range []string{"ada", "bob", "cyd", "dan"} {
		all.Go(func() {
			opened, err := connect(t.Context(), sink(t), url+"/", token, project)
			if err != nil {
				t.Error(err)
				return
			}
			if name, _, _, err := opened.CurrentUser(); err != nil || name != token {
				t.Errorf("the token of %s is that of %q: %v", token, name, err)
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	for _, token := range []string{"", "nobody"} {
		if _, err := connect(t.Context(), sink(t), url, token, project); !backenderr.IsAuthError(err) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestServicesAreToldFromStorageByTheirURLs(t *testing.T) {
	for url, want := range map[string]bool{
		"https://api.pulumi.com": true, "http://127.0.0.1:8080": true, "file:///srv": false, "s3://bucket": false,
	} {
		if Is(url) != want {
			t.Errorf("%s", url)
		}
	}
}
