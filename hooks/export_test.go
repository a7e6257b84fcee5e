package hooks

import (
	"context"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// Process is a process that a test implements.
type Process = osProcess

// StartWith replaces the start of processes.
func (s *Set) StartWith(start func(cfg *Config) (Process, error)) {
	s.start = func(cfg *Config, _ func(string)) (osProcess, error) { return start(cfg) }
}

// StateOf returns a function that returns the state of the library in force with this name, also after it was removed.
func (s *Set) StateOf(name string) func() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.running.hooks {
		if l.cfg.Name == name {
			return func() string { return l.hook.status().State }
		}
	}
	return nil
}

// Understand decodes a frame of a process, and returns its commands if it is an introduce frame.
func Understand(frame []byte) ([]*mgr.Command, error) {
	s, err := decode(frame)
	if err != nil || s.Introduce == nil {
		return nil, err
	}
	return s.Introduce.commands("fuzz", func(*mgr.Command) mgr.Handler { return nothing })
}

func nothing(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{}, nil }
