package std

import (
	"context"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
)

// Status is the result of status-get; its members are Kea's.
type Status struct {
	PID            int     `json:"pid"`
	Uptime         int64   `json:"uptime" doc:"Seconds since the start."`
	Reload         int64   `json:"reload" doc:"Seconds since the configuration was last loaded."`
	MultiThreading bool    `json:"multi-threading-enabled"`
	Sockets        Sockets `json:"sockets"`
}

// Sockets has the addresses of the daemon.
type Sockets struct {
	Status string   `json:"status" schema:"enum=ready|failed"`
	Open   []string `json:"open,omitempty" doc:"The addresses on which the daemon listens."`
	Errors []string `json:"errors,omitempty"`
}

// StatusOf returns the Status of a daemon that started, and loaded its configuration, at
// these times.
func StatusOf(started, loaded time.Time) Status {
	return Status{
		PID:     os.Getpid(),
		Uptime:  int64(time.Since(started).Seconds()),
		Reload:  int64(time.Since(loaded).Seconds()),
		Sockets: Sockets{Status: "ready"},
	}
}

// StatusGet returns status-get. report runs on the loop and must not block. T is Status, or a
// struct that embeds it and has more members.
func StatusGet[T any](report func() T) mgr.Command {
	return mgr.Func("status-get", "Report the state of the daemon.", mgr.Read,
		func(context.Context, mgr.None) (T, error) { return report(), nil }, mgr.AnyArguments())
}
