package mgr

import (
	"sync"
	"sync/atomic"
)

// talkers are the goroutines that serve conversations. A few of those whose conversations have ended
// wait for the next: where a conn is one request, as over HTTP, a fresh stack for each would cost more
// than the command.
type talkers struct {
	next chan *conversation
	idle atomic.Int32
	all  sync.WaitGroup
}

// mostIdle is how many of them wait.
const mostIdle = 64

// serve has a conversation served. It never waits.
func (t *talkers) serve(c *conversation) {
	select {
	case t.next <- c:
	default:
		t.all.Go(func() { t.work(c) })
	}
}

// work serves conversations, the first one and those that come, until the manager listens to nobody.
func (t *talkers) work(c *conversation) {
	var own sender
	defer own.stop()
	for c != nil {
		c.serve(&own)
		c = t.another(c.m)
	}
}

// another waits for a conversation, unless enough do.
func (t *talkers) another(m *CommandMgr) *conversation {
	defer t.idle.Add(-1)
	if t.idle.Add(1) > mostIdle {
		return nil
	}
	select {
	case c := <-t.next:
		return c
	case <-m.receiving.Done():
		return nil
	}
}
