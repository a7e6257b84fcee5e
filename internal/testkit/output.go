package testkit

import (
	"bytes"
	"sync"
)

// An Output is a buffer that collects what a process or a logger writes. Its methods may be called concurrently. The zero
// value is empty and ready for use.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends p. It returns no error.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns everything that was written until now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
