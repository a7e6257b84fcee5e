package std

import (
	"context"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json/jsontext"
)

// Shutdown returns the command shutdown. stop runs on the loop and must not block. It gets the exit status of the
// request, or 0. Usually it stores the status and cancels the context of Run. The daemon sends the reply before it ends.
// The operating system keeps eight bits of the status, as with Kea.
func Shutdown(stop func(exitValue int)) mgr.Command {
	return mgr.Command{
		Name:    "shutdown",
		Summary: "End the daemon when the accepted commands are answered.",
		Level:   mgr.Admin,
		Args: &schema.Schema{Type: "object", Closed: true, Properties: map[string]*schema.Schema{
			"exit-value": {Type: "integer", Description: "The exit status; 0 unless given."},
		}},
		Examples: []string{`{"exit-value":0}`},
		Handler: func(_ context.Context, call *mgr.Call) (wire.Reply, error) {
			exit, err := exitValue(call.Arguments)
			if err != nil {
				return wire.Reply{}, err
			}
			stop(exit)
			return wire.Reply{Text: "Shutting down."}, nil
		},
	}
}

// exitValue reads the arguments of shutdown. Its errors have Kea's texts.
func exitValue(arguments wire.Value) (int, error) {
	if arguments == nil {
		return 0, nil
	}
	if arguments.Kind() != "map" {
		return 0, wire.Errorf(wire.CodeError, "bad-arguments", "Argument must be a map")
	}
	var in struct {
		ExitValue jsontext.Value `json:"exit-value"`
	}
	if err := arguments.Decode(&in); err != nil {
		return 0, wire.Errorf(wire.CodeError, "bad-arguments", "shutdown has no parameter but 'exit-value'")
	}
	if in.ExitValue == nil {
		return 0, nil
	}
	var exit int
	value := wire.Value(in.ExitValue)
	if value.Kind() != "integer" || value.Decode(&exit) != nil {
		e := wire.Errorf(wire.CodeError, "bad-arguments", "parameter 'exit-value' is not an integer")
		e.Fields = []wire.Field{{Pointer: "/exit-value", Text: e.Text}}
		return 0, e
	}
	return exit, nil
}
