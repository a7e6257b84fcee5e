package mgr

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"
)

// A Level is the access that a command needs. Every command declares one.
type Level uint8

// The levels of access. The zero Level is not valid: Register refuses it.
const (
	Read  Level = iota + 1 // the command changes nothing
	Write                  // the command changes something
	Admin                  // the command takes names of files or code, returns secrets, or ends the daemon
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

// ParseLevel is the inverse of String. ok is false for every other name, also for the empty one.
func ParseLevel(name string) (level Level, ok bool) {
	for _, l := range []Level{Read, Write, Admin} {
		if l.String() == name {
			return l, true
		}
	}
	return 0, false
}

// A Handler serves one call. Func and Async make handlers of typed functions. CallOf returns the call of ctx. ctx ends when
// the caller no longer waits: after a cancel, a timeout, or a departure of the peer.
//
// An error becomes the reply of a failure: an *wire.Error as it is, any other error as result 1 with the error's text. A
// panic becomes result 500; its text is in the log only.
//
// Every result but 0 and 3 is a failure, and the reply of a failure has no arguments. Arguments that a handler returns with
// such a result become error.data of the reply. Programs test error.code beside it.
type Handler func(ctx context.Context, call *Call) (wire.Reply, error)

// A Command is a command of a daemon. Func and Async make one of a typed function. A literal is for handlers that read and
// write JSON themselves. A Command must not be changed after it was registered.
type Command struct {
	// Name is the name in requests: words of lower-case letters and digits with hyphens between them, at most 64 bytes.
	// It begins with a letter. Required.
	Name string

	// Summary is one sentence for describe-command.
	Summary string

	// Level is the access that the command needs. Required.
	Level Level

	// Owner is the hook library that the command belongs to. It is set for the commands of a Layer. Empty: the command
	// belongs to the daemon itself.
	Owner string

	// Args and Returns describe the arguments of a request and of a successful reply. nil: there is no description, and
	// the handler gets any arguments.
	Args, Returns *schema.Schema

	// Examples are valid arguments, in JSON.
	Examples []string

	// Async makes the handler run on a goroutine of its own, where it may block. It may access what belongs to the loop only
	// inside OnLoop.
	Async bool

	// Critical makes the handler run inside the section Options.Critical; see the function Critical.
	Critical bool

	// Handler serves the calls. Required.
	Handler Handler

	// check decodes the arguments of a call into call.input, off the loop. nil: the handler reads call.Arguments.
	check func(*Call) (any, error)

	// defect is the error that Register returns for the command, or nil.
	defect error
}

// None is the type In of a command without arguments, and the type Out of a command that returns nothing.
type None = struct{}

// Result is a type Out with which a handler sets the result and the text of the reply, beside its arguments. If Code is a
// failure (wire.Code.Failed), the arguments become error.data; see Handler.
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

// AnyArguments makes a command without arguments accept any, and ignore them. Kea's commands do so.
func AnyArguments() Option {
	return func(c *Command) { c.Args, c.check = nil, nil }
}

// Example adds valid arguments, in JSON, for describe-command. Register refuses a command with an example that is not JSON.
func Example(arguments string) Option {
	return func(c *Command) {
		c.Examples = append(c.Examples, arguments)
		if !wire.Value(arguments).Valid() {
			c.defect = fmt.Errorf("the example %q is no JSON", arguments)
		}
	}
}

// Func returns a command whose function runs on the loop, one at a time with everything else there. The function may access
// what belongs to the loop, and must not block.
//
// Before it runs, the arguments are decoded into In and checked, off the loop; package schema has the tags. Members that In
// does not have are refused, with result 1. Out is encoded on the loop, as the arguments of the reply. Register returns the
// errors of Func, for example for a type that has no JSON form.
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
		in, _ := call.input.(In) // the zero In with AnyArguments
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

// Async returns a command whose function runs on a goroutine of its own: it may block, and may access what belongs to the
// loop only inside OnLoop. Otherwise it is like Func. Out is encoded on the same goroutine.
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

// returns returns the schema of Out.
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

// valid returns the error for which the command cannot be registered, or nil.
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
