package service

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// soon is short enough for a test and long enough for the clock.
const soon = 2 * time.Millisecond

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came true that %s", what)
		}
	}
}

func answerOf(code int) error { return &apitype.ErrorResponse{Code: code, Message: "no"} }

func TestALeaseIsRenewedWithItsNewestToken(t *testing.T) {
	asked := make(chan string, 100)
	renew := func(_ context.Context, token string) (string, error) {
		select {
		case asked <- token:
		default:
		}
		return token + "+", nil
	}
	l := keep(t.Context(), "first", renew, func() { t.Error("lost") }, soon, soon)
	for _, want := range []string{"first", "first+", "first++"} {
		if got := <-asked; got != want {
			t.Fatalf("%q was renewed, not %q", got, want)
		}
	}
	l.end()
	if token, err := l.GetToken(t.Context()); err != nil || len(token) < len("first+++") {
		t.Fatalf("%q, %v", token, err)
	}
}

func TestALeaseOutlivesARenewalThatFails(t *testing.T) {
	var tries atomic.Int32
	renew := func(context.Context, string) (string, error) {
		if tries.Add(1) < 3 {
			return "", errors.New("no route to the service")
		}
		return "second", nil
	}
	l := keep(t.Context(), "first", renew, func() { t.Error("lost") }, soon, soon)
	defer l.end()
	eventually(t, "the lease has another token", func() bool { return l.current() == "second" })
}

func TestALeaseThatIsRefusedIsLostOnceAndForGood(t *testing.T) {
	var lost, asked atomic.Int32
	renew := func(context.Context, string) (string, error) {
		asked.Add(1)
		return "", answerOf(http.StatusForbidden)
	}
	l := keep(t.Context(), "first", renew, func() { lost.Add(1) }, soon, soon)
	eventually(t, "the lease is lost", l.isLost)
	<-l.ended
	if l.refuse(answerOf(http.StatusInternalServerError)) || !l.refuse(answerOf(http.StatusForbidden)) {
		t.Error("a refusal is an answer of 403, and nothing else")
	}
	if _, err := l.GetToken(t.Context()); err == nil || lost.Load() != 1 || asked.Load() != 1 {
		t.Errorf("%v, lost %d times after %d renewals", err, lost.Load(), asked.Load())
	}
	l.end()
}
