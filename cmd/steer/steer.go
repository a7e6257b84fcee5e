package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/spf13/cobra"
)

const help = `Give a command to a daemon and print its reply.

Arguments are NAME=VALUE pairs: a VALUE that is JSON is taken as JSON, unless the
command's schema says that the argument is a string; any other is a string. Or they are
one JSON text, or @FILE with JSON in it; @- and - are standard input. JSON may have
comments, as on the wire: # and // to the end of the line, and /* */.

Exit status: that of the result, 0 success, 1 error, 2 command unsupported, 3 empty,
4 conflict, 5 fatal; 77 not allowed, 75 try again later or timed out, 70 internal
error, 6 any other result; 64 wrong usage, 69 no daemon there.`

const examples = `  steer list-commands
  steer describe-command command=statistic-get
  steer statistic-get name=uptime
  steer -s unix:run/control.sock status-get
  steer -s tls://ns1.example:7443 --pki run/pki status-get
  steer -s https://ns1.example:8443 --ca ca.pem --user ann status-get
  echo '{"name": "uptime"}' | steer statistic-get -
  steer -a config-get > c.json; vi c.json; steer config-set @c.json
  steer -s unix:///run/kea/kea4.sock config-get`

// options are the flags.
type options struct {
	socket   string
	identity identity
	timeout  time.Duration
	raw      bool
	only     bool
	script   string
}

// run is main with an exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stdout, stderr = terminalWriter{stdout}, terminalWriter{stderr}
	var o options
	status := exitOK
	cmd := &cobra.Command{
		Use:               "steer [-s URL] COMMAND [NAME=VALUE … | JSON | @FILE]",
		Short:             "Give a command to a daemon and print its reply.",
		Long:              help,
		Example:           examples,
		Args:              o.enough,
		SilenceUsage:      true,
		SilenceErrors:     true,
		ValidArgsFunction: o.complete,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.script != "" {
				return completionScript(cmd, o.script)
			}
			status, err = o.steer(cmd.Context(), args, stdin, stdout, stderr)
			return err
		},
	}
	cmd.AddCommand(userCommand(stdin, stdout), tokenCommand(stdout), pkiCommand(stdout), auditCommand(stdout), offerCommand(stdout))
	flags := cmd.Flags()
	flags.SetInterspersed(true)
	flags.StringVarP(&o.socket, "socket", "s", "", "where the daemon is: `URL`, such as unix:///path or tls://host:port (default: rudderpostd's own place)")
	o.identity.flags(flags)
	flags.DurationVarP(&o.timeout, "timeout", "t", 0, "how long to wait for the reply, such as 5s (default: for ever)")
	flags.BoolVarP(&o.raw, "raw", "r", false, "print the reply as it came, on one line")
	flags.BoolVarP(&o.only, "arguments", "a", false, "print only what the command returns, as another may take it; a failure goes to standard error")
	flags.StringVar(&o.script, "completion", "", "print a completion script for bash, zsh, fish or powershell")
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if run, err := cmd.ExecuteContextC(ctx); err != nil {
		text := err.Error()
		if run == cmd {
			text = oneLine(text) // a daemon may have chosen the words
		}
		fmt.Fprintln(stderr, "steer:", text)
		switch {
		case run != cmd:
			status = int(wire.CodeError) // a file's affair, most likely
			if other, ok := errors.AsType[*statusError](err); ok {
				status = other.status
			}
		case status == exitOK:
			status = exitUsage
			fmt.Fprintln(stderr, "steer: try steer --help")
		}
	}
	return status
}

// enough refuses a command line without a command.
func (o *options) enough(_ *cobra.Command, args []string) error {
	if len(args) == 0 && o.script == "" {
		return errors.New("no command given")
	}
	if len(args) > 0 && strings.Contains(args[0], "://") {
		return fmt.Errorf("%q is a URL and no command; write steer -s URL COMMAND", args[0])
	}
	return nil
}

// steer gives the command and prints the reply.
func (o *options) steer(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	line, err := parseArguments(args[1:], stdin)
	if err != nil {
		return exitUsage, err
	}
	dialer, where, err := o.dialer(ctx, stdin, stderr)
	if err != nil {
		return exitUsage, err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no reply within %s", o.timeout))
		defer cancel()
	}
	var types map[string]argumentType
	if line.needsTypes() {
		types = argumentTypes(ctx, dialer, args[0])
	}
	arguments, err := line.arguments(types)
	if err != nil {
		return exitUsage, err
	}
	reply, err := client.Do(ctx, dialer, wire.Request{Command: args[0], Arguments: arguments})
	if err != nil {
		return unreachable(ctx, err, where)
	}
	if o.only {
		err = showArguments(stdout, stderr, reply, o.raw)
	} else {
		err = show(stdout, reply, o.raw)
	}
	if err != nil {
		return exitInternal, err
	}
	if err := reply.Err(); err != nil && !o.raw {
		explain(stderr, err)
		hintAtReply(stderr, arguments)
	}
	return exitStatus(reply.Code), nil
}

// dialer returns where the daemon is, and a name for that place. It may ask for a password.
func (o *options) dialer(ctx context.Context, stdin io.Reader, stderr io.Writer) (transport.Dialer, string, error) {
	where := o.socket
	if where == "" {
		path, err := targets.DefaultSocket()
		if err != nil {
			return nil, "", fmt.Errorf("%w; say where the daemon is with -s", err)
		}
		where = targets.UnixURL(path)
	}
	id, err := o.identity.read(ctx, stdin, stderr)
	if err != nil {
		return nil, "", err
	}
	dialer, err := targets.Parse(where, id)
	return dialer, where, err
}

// explain names the arguments that the daemon finds at fault.
func explain(stderr io.Writer, err error) {
	bad, ok := errors.AsType[*wire.Error](err)
	if !ok || len(bad.Fields) < 2 {
		return
	}
	for _, field := range bad.Fields {
		fmt.Fprintf(stderr, "steer: %s: %s\n", oneLine(field.Pointer), oneLine(field.Text))
	}
}

// hintAtReply helps whoever has given a failed command the whole of another one's reply.
func hintAtReply(stderr io.Writer, arguments wire.Value) {
	if r, err := wire.DecodeReply(arguments); err == nil && r.Arguments != nil {
		fmt.Fprintln(stderr, "steer: what was given is a whole reply; steer -a prints of a reply what another command takes")
	}
}
