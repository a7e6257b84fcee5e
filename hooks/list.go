package hooks

import (
	"context"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
)

// A Status is what hook-list says of one library.
type Status struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind" schema:"enum=compiled-in|process"`
	State     string     `json:"state" schema:"enum=running|restarting|broken|failed|stopping" doc:"restarting: its process has ended, and is started again soon; broken: that happened five times in a row, and a minute passes between two tries; failed: it introduced itself as something else, and stays down until the configuration is loaded again."`
	Commands  []string   `json:"commands" doc:"What it adds."`
	Overrides []string   `json:"overrides,omitempty" doc:"Those of them that take the place of native ones."`
	Since     time.Time  `json:"since" doc:"When it came into this state."`
	PID       int        `json:"pid,omitzero"`
	Restarts  int        `json:"restarts" doc:"How often its process has been started again."`
	LastError string     `json:"last-error,omitempty" doc:"Why its process ended, the last time that it did."`
	RetryAt   *time.Time `json:"retry-at,omitempty" doc:"When its process is started again."`
}

// Status says how the libraries are that run, in the configuration's order.
func (s *Set) Status() []Status {
	s.init()
	s.mu.Lock()
	entries := s.running.entries
	s.mu.Unlock()
	all := make([]Status, 0, len(entries))
	for _, e := range entries {
		status := e.hook.status()
		status.Commands = []string{}
		for _, cmd := range e.commands {
			status.Commands = append(status.Commands, cmd.Name)
		}
		slices.Sort(status.Commands)
		status.Overrides = e.cfg.Overrides
		all = append(all, status)
	}
	return all
}

// Commands returns hook-list, for the daemon to register.
func (s *Set) Commands() []mgr.Command {
	return []mgr.Command{mgr.Func("hook-list", "List the hook libraries, what they add, and how they are.", mgr.Read,
		func(context.Context, mgr.None) ([]Status, error) { return s.Status(), nil })}
}
