package service

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Lengths of a lease. It is renewed when half of it is over, so that a few tries may fail.
const (
	leaseLength = 5 * time.Minute
	renewAfter  = leaseLength / 2
	renewAgain  = leaseLength / 32
)

// lease is the right to go on with an update. It renews itself until it ends, or is lost.
type lease struct {
	renew func(ctx context.Context, token string) (string, error)
	lost  func()
	stop  context.CancelFunc
	ended chan struct{}

	mutex   sync.Mutex
	token   string
	refusal error
}

// hold begins to keep a lease alive. `lost` is called once if the service takes it back.
func hold(
	ctx context.Context, service *client.Client, id client.UpdateIdentifier, token string, lost func(),
) *lease {
	renew := func(ctx context.Context, token string) (string, error) {
		return service.RenewUpdateLease(ctx, id, token, leaseLength)
	}
	return keep(ctx, token, renew, lost, renewAfter, renewAgain)
}

func keep(
	ctx context.Context, token string, renew func(context.Context, string) (string, error), lost func(),
	after, again time.Duration,
) *lease {
	ctx, stop := context.WithCancel(ctx)
	l := &lease{renew: renew, lost: lost, stop: stop, ended: make(chan struct{}), token: token}
	go l.run(ctx, after, again)
	return l
}

func (l *lease) run(ctx context.Context, after, again time.Duration) {
	defer close(l.ended)
	next := after
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
		token, err := l.renew(ctx, l.current())
		switch {
		case ctx.Err() != nil || l.refuse(err):
			return
		case err != nil:
			// The network may come back before the lease is over; that it is over, the service says.
			next = again
		default:
			l.mutex.Lock()
			l.token = token
			l.mutex.Unlock()
			next = after
		}
	}
}

func (l *lease) current() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.token
}

// refuse notes an answer of the service, and is true when that means the loss of the lease.
func (l *lease) refuse(err error) bool {
	var answer *apitype.ErrorResponse
	if !errors.As(err, &answer) || answer.Code != http.StatusForbidden {
		return false
	}
	l.mutex.Lock()
	first := l.refusal == nil
	if first {
		l.refusal = err
	}
	l.mutex.Unlock()
	if first && l.lost != nil {
		l.lost()
	}
	return true
}

func (l *lease) isLost() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.refusal != nil
}

// GetToken is asked before each call that needs the lease.
func (l *lease) GetToken(context.Context) (string, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.token, l.refusal
}

// end stops the renewal.
func (l *lease) end() {
	l.stop()
	<-l.ended
}
