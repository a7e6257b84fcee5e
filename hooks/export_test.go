package hooks

import (
	"context"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// Process is what a test may put in the place of a process.
type Process = process

// StartWith makes a set start such processes.
func (s *Set) StartWith(start func(cfg *Config) (Process, error)) {
	s.start = func(cfg *Config, _ func(string)) (process, error) { return start(cfg) }
}

// Understand reads a frame of a process, and makes commands of it if it is an introduction.
func Understand(frame []byte) ([]*mgr.Command, error) {
	s, err := decode(frame)
	if err != nil || s.Introduce == nil {
		return nil, err
	}
	return s.Introduce.commands("fuzz", func(*mgr.Command) mgr.Handler { return nothing })
}

func nothing(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{}, nil }
