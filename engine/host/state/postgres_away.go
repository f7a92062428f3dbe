package state

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// patience is how long a database is waited for that starts again, takes no writes, or that nobody reaches.
const patience = 30 * time.Second

// patiently asks again while the database is away: a change that meets a restart is not to fail for that. A statement of
// this driver that was done the first time, and not heard of, does the same again.
func patiently(ctx context.Context, ask func() error) error {
	until := time.Now().Add(patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := ask()
		if !isAway(err) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// stops are the codes of a database that ends, is not ready yet, takes no writes as a standby does, or has no room for another
// connection. Those of broken connections begin with 08.
var stops = []string{"57P01", "57P02", "57P03", "25006", "53300"}

func isAway(err error) bool {
	var told interface{ SQLState() string }
	if errors.As(err, &told) {
		return slices.Contains(stops, told.SQLState()) || strings.HasPrefix(told.SQLState(), "08")
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(*net.OpError))
}
