package std

import (
	"context"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
)

// Status is what status-get returns; its members are Kea's.
type Status struct {
	PID            int     `json:"pid"`
	Uptime         int64   `json:"uptime" doc:"Seconds since the start."`
	Reload         int64   `json:"reload" doc:"Seconds since the configuration was last loaded."`
	MultiThreading bool    `json:"multi-threading-enabled"`
	Sockets        Sockets `json:"sockets"`
}

// Sockets says how the daemon can be reached.
type Sockets struct {
	Status string   `json:"status" schema:"enum=ready|failed"`
	Open   []string `json:"open,omitempty" doc:"Where the daemon listens."`
	Errors []string `json:"errors,omitempty"`
}

// StatusOf fills in what is known of every daemon that started, and loaded its configuration, at
// these times.
func StatusOf(started, loaded time.Time) Status {
	return Status{
		PID:     os.Getpid(),
		Uptime:  int64(time.Since(started).Seconds()),
		Reload:  int64(time.Since(loaded).Seconds()),
		Sockets: Sockets{Status: "ready"},
	}
}

// StatusGet returns status-get. report runs on the loop; what it returns may be a Status, or a
// struct that embeds one and has more.
func StatusGet[T any](report func() T) mgr.Command {
	return mgr.Func("status-get", "Report what the daemon is doing.", mgr.Read,
		func(context.Context, mgr.None) (T, error) { return report(), nil }, mgr.AnyArguments())
}
