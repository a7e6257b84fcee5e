package websocket

import (
	"sync"

	"github.com/rudderpost/rudderpost/transport"
)

// A held counts the buffers of messages that a conn holds: the one that arrives, those in the inbox, and the one
// that Receive has handed over. Messages that Receive reads itself (direct) are not counted: they lie in the conn's
// own buffer. The reader goroutine and Receive both use it.
type held struct {
	mu    sync.Mutex
	use   transport.MemoryUse
	bytes int
}

// add counts n bytes more, before they are allocated. n may be negative, and then it succeeds.
func (h *held) add(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.use.Set(h.bytes + n); err != nil {
		return err
	}
	h.bytes += n
	return nil
}
