package mgr_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// testCommands has the commands of the conversations. Its fields belong to the loop.
type testCommands struct {
	count   int
	release chan struct{}
}

func newTestCommands() *testCommands { return &testCommands{release: make(chan struct{})} }

type greetIn struct {
	Name  string `json:"name" doc:"The name in the greeting."`
	Times int    `json:"times,omitzero" schema:"min=1,max=3"`
}

func (s *testCommands) commands() []mgr.Command {
	return []mgr.Command{
		mgr.Func("greet", "Say hello.", mgr.Read, func(_ context.Context, in greetIn) (string, error) {
			return strings.Repeat("Hello, "+in.Name+".", max(1, in.Times)), nil
		}),
		mgr.Func("echo", "Return the arguments.", mgr.Read, func(ctx context.Context, _ mgr.None) (wire.Value, error) {
			call, _ := mgr.CallOf(ctx)
			return call.Arguments, nil
		}, mgr.AnyArguments()),
		mgr.Func("count", "Count.", mgr.Write, func(context.Context, mgr.None) (int, error) {
			s.count++
			return s.count, nil
		}),
		mgr.Func("hold", "Hold the loop until release.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
			<-s.release
			return mgr.None{}, nil
		}),
		mgr.Async("release", "Let go of the loop.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
			s.release <- struct{}{}
			return mgr.None{}, nil
		}),
		mgr.Func("doze", "Hold the loop for some seconds.", mgr.Write, func(_ context.Context, in struct {
			Seconds int `json:"seconds"`
		}) (mgr.None, error) {
			time.Sleep(time.Duration(in.Seconds) * time.Second)
			return mgr.None{}, nil
		}),
		mgr.Async("park", "Wait until cancelled.", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			<-ctx.Done()
			return mgr.None{}, context.Cause(ctx)
		}),
		mgr.Func("fail", "Fail.", mgr.Read, func(_ context.Context, in struct {
			How string `json:"how" schema:"enum=plainly|typed|empty"`
		}) (mgr.Result[mgr.None], error) {
			switch in.How {
			case "typed":
				return mgr.Result[mgr.None]{}, wire.Errorf(1234, "own-code", "an error with its own code")
			case "empty":
				return mgr.Result[mgr.None]{Code: wire.CodeEmpty, Text: "nothing was found"}, nil
			}
			return mgr.Result[mgr.None]{}, errors.New("disk full")
		}),
		mgr.Func("crash", "Panic.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			panic("panic of a handler")
		}),
		mgr.Func("forbidden", "Is never allowed.", mgr.Admin, func(context.Context, mgr.None) (mgr.None, error) {
			panic("never")
		}),
	}
}

// allowAll is an Authorizer that allows all commands except "forbidden".
type allowAll struct{}

func (allowAll) Authorize(call *mgr.Call) error {
	if call.Name == "forbidden" {
		return errors.New("this command is never allowed")
	}
	return nil
}
