package state

import (
	"sync"
)

// groupLog numbers the lines of a journal and shares syncs: whoever waits while a sync runs shares the next one.
type groupLog struct {
	mu      sync.Mutex
	synced  *sync.Cond
	out     appender
	lines   int  // written
	durable int  // known to be on the disk
	syncing bool // one goroutine syncs for all
	// err is the first failure. After a failed write the file may end in a part of a line, and after a failed sync
	// nobody knows what is on the disk; so nothing is appended any more.
	err    error
	closed bool
}

func newGroupLog(out appender, lines int) *groupLog {
	log := &groupLog{out: out, lines: lines, durable: lines}
	log.synced = sync.NewCond(&log.mu)
	return log
}

// write appends lines and gives the number of the last one.
func (l *groupLog) write(bodies ...[]byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	var buffer []byte
	for i, body := range bodies {
		buffer = appendFrame(buffer, l.lines+1+i, l.durable, body)
	}
	if err := l.out.Write(buffer); err != nil {
		l.fail(err)
		return 0, err
	}
	l.lines += len(bodies)
	return l.lines, nil
}

// wait returns when a line is on the disk.
func (l *groupLog) wait(line int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.durable < line && l.err == nil {
		if l.syncing {
			l.synced.Wait()
			continue
		}
		l.syncing = true
		upTo := l.lines
		l.mu.Unlock()
		err := l.out.Sync()
		l.mu.Lock()
		l.syncing = false
		if err != nil {
			l.fail(err)
		} else {
			l.durable = upTo
		}
		l.synced.Broadcast()
	}
	return l.err
}

func (l *groupLog) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// close may be called again: what ends a change badly closes what it finds.
func (l *groupLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.out.Close()
}
