package mgr

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"
)

// A Level is the access that a command asks of its caller. Every command declares one.
type Level uint8

// The levels. The zero Level is none; Register refuses it.
const (
	Read  Level = iota + 1 // looks
	Write                  // changes
	Admin                  // names files or code, shows secrets, ends the daemon
)

// String returns "read", "write" or "admin".
func (l Level) String() string {
	switch l {
	case Read:
		return "read"
	case Write:
		return "write"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("level-%d", uint8(l))
}

// ParseLevel returns the level that String calls name. ok is false for every other name, also for the empty one.
func ParseLevel(name string) (level Level, ok bool) {
	for _, l := range []Level{Read, Write, Admin} {
		if l.String() == name {
			return l, true
		}
	}
	return 0, false
}

// A Handler answers one call. Everything typed is built on it. The context ends when the caller no
// longer waits, and knows the call. An error becomes a failed reply: *wire.Error as it says, any
// other result 1 with the error's text. A panic becomes result 500, and its text stays in the log.
//
// Every result but 0 and 3 is a failure, and the reply of a failure has no arguments. What a handler returns as
// arguments with such a result becomes `error.data` of the reply, beside `error.code`, the stable word for programs.
type Handler func(ctx context.Context, call *Call) (wire.Reply, error)

// A Command is what a daemon can be asked to do: a value in a table. Func and Async make typed ones;
// a literal is for handlers that want the bytes.
type Command struct {
	// Name is what callers say: words of lower-case letters and digits, the first one starting with
	// a letter, with hyphens between them.
	Name string

	// Summary is one sentence for people.
	Summary string

	// Level is required.
	Level Level

	// Owner is the hook library that the command belongs to, if it came with Overlay. Empty: it is
	// the daemon's own.
	Owner string

	// Args and Returns describe the arguments and what a success returns. nil: nothing is said, and
	// any arguments reach the handler.
	Args, Returns *schema.Schema

	// Examples are arguments that work, in JSON.
	Examples []string

	// Async makes the handler run beside the loop, on a goroutine of its own, where it may wait.
	// What belongs to the loop it may touch only inside OnLoop.
	Async bool

	// Critical makes the handler run inside Options.Critical; see the option of that name.
	Critical bool

	// Handler is required.
	Handler Handler

	// check decodes a call's arguments, off the loop, to what Func's handler wants. nil: it wants bytes.
	check func(*Call) (any, error)

	// defect is why the command cannot be registered.
	defect error
}

// None is the In of commands without arguments and the Out of commands that return nothing.
type None = struct{}

// Result is an Out that chooses the result and the text as well as the arguments. With a Code that is a failure
// (wire.Code.Failed) the arguments become the data of the reply's error; see Handler.
type Result[T any] struct {
	Code      wire.Code
	Text      string
	Arguments T
}

func (r Result[T]) reply() wire.Reply {
	reply := wire.Reply{Code: r.Code, Text: r.Text}
	if reflect.TypeFor[T]() != reflect.TypeFor[None]() {
		reply.Arguments = r.Arguments
	}
	return reply
}

// An Option changes a command that Func or Async makes.
type Option func(*Command)

// AnyArguments lets callers give any arguments to a command without any, as Kea's commands do.
func AnyArguments() Option {
	return func(c *Command) { c.Args, c.check = nil, nil }
}

// Example adds arguments that work, in JSON, for describe-command.
func Example(arguments string) Option {
	return func(c *Command) {
		c.Examples = append(c.Examples, arguments)
		if !wire.Value(arguments).Valid() {
			c.defect = fmt.Errorf("the example %q is no JSON", arguments)
		}
	}
}

// Func makes a command of a function that runs on the loop, one at a time with everything else
// there: it may touch what belongs to the loop, and must not wait for anything. The arguments are
// decoded into In and checked before it runs (see package schema for the tags); members that In does
// not have are refused. Out is encoded, on the loop, as the reply's arguments.
func Func[In, Out any](name, summary string, level Level, h func(context.Context, In) (Out, error), opts ...Option) Command {
	cmd := Command{Name: name, Summary: summary, Level: level}
	var err error
	if cmd.Args, err = schema.Of(reflect.TypeFor[In]()); err != nil {
		cmd.defect = fmt.Errorf("its arguments: %w", err)
	}
	cmd.Returns, err = returns(reflect.TypeFor[Out]())
	if err != nil {
		cmd.defect = errors.Join(cmd.defect, fmt.Errorf("what it returns: %w", err))
	}
	if h == nil {
		cmd.defect = errNilHandler
	}
	cmd.check = decoder[In](name, cmd.Args)
	cmd.Handler = func(ctx context.Context, call *Call) (wire.Reply, error) {
		in, _ := call.input.(In) // the zero In where the arguments do not matter
		out, err := h(ctx, in)
		if err != nil {
			return wire.Reply{}, err
		}
		return replyOf(out), nil
	}
	for _, option := range opts {
		option(&cmd)
	}
	return cmd
}

// Async makes a command of a function that runs beside the loop, on a goroutine of its own: it may
// wait, and must not touch what belongs to the loop except inside OnLoop. Otherwise it is like Func;
// Out is encoded where it was made.
func Async[In, Out any](name, summary string, level Level, h func(context.Context, In) (Out, error), opts ...Option) Command {
	cmd := Func(name, summary, level, h, opts...)
	cmd.Async = true
	return cmd
}

type replier interface{ reply() wire.Reply }

func replyOf(out any) wire.Reply {
	switch out := out.(type) {
	case None:
		return wire.Reply{}
	case replier:
		return out.reply()
	case wire.Reply:
		return out
	}
	return wire.Reply{Arguments: out}
}

// returns describes Out.
func returns(out reflect.Type) (*schema.Schema, error) {
	if out == reflect.TypeFor[None]() || out == reflect.TypeFor[wire.Reply]() {
		return nil, nil
	}
	if out.Implements(reflect.TypeFor[replier]()) {
		arguments, _ := out.FieldByName("Arguments")
		return returns(arguments.Type)
	}
	return schema.Of(out)
}

var errNilHandler = errors.New("Specified command handler is NULL") // Kea's words

// valid says why the command cannot be registered.
func (c *Command) valid() error {
	switch {
	case c.Handler == nil:
		return errNilHandler
	case !wire.ValidName(c.Name):
		return fmt.Errorf("a command's name matches %s and has at most %d bytes", wire.NamePattern, wire.MaxName)
	case c.Level < Read || c.Level > Admin:
		return errors.New("it declares no access level; say mgr.Read, mgr.Write or mgr.Admin")
	}
	return c.defect
}
