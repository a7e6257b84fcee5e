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

const help = `Send a command to a daemon and print its reply.

Arguments are NAME=VALUE pairs. A VALUE that is JSON is sent as JSON, unless the
command's schema says that the argument is a string. Any other VALUE is sent as a string.
Instead of pairs, steer takes one JSON text, or @FILE; @- and - are standard input. JSON
may have comments, as on the wire: # and // to the end of the line, and /* */.

Exit status: the result for 0 success, 1 error, 2 command unsupported, 3 empty,
4 conflict and 5 fatal; 77 not allowed, 75 try again later or timed out, 70 internal
error, 6 any other result; 64 wrong usage, 69 no daemon at the URL.`

const examples = `  steer list-commands
  steer describe-command command=statistic-get
  steer statistic-get name=uptime
  steer -s unix:run/control.sock status-get
  steer -s tls://ns1.example:7443 --pki run/pki status-get
  steer -s https://ns1.example:8443 --ca ca.pem --user ann status-get
  echo '{"name": "uptime"}' | steer statistic-get -
  steer -a config-get > c.json; vi c.json; steer config-set @c.json
  steer -s unix:///run/kea/kea4.sock config-get`

// options are the flags of steer.
type options struct {
	socket          string
	auth            clientFlags
	timeout         time.Duration
	raw             bool
	argumentsOnly   bool
	completionShell string
}

// run runs steer with the arguments args, and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stdout, stderr = terminalWriter{stdout}, terminalWriter{stderr}
	var o options
	status := exitOK
	cmd := &cobra.Command{
		Use:               "steer [-s URL] COMMAND [NAME=VALUE … | JSON | @FILE]",
		Short:             "Send a command to a daemon and print its reply.",
		Long:              help,
		Example:           examples,
		Args:              o.checkArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		ValidArgsFunction: o.complete,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.completionShell != "" {
				return completionScript(cmd, o.completionShell)
			}
			status, err = o.sendCommand(cmd.Context(), args, stdin, stdout, stderr)
			return err
		},
	}
	cmd.AddCommand(userCommand(stdin, stdout), tokenCommand(stdout), pkiCommand(stdout), auditCommand(stdout), candidatesCommand(stdout))
	flags := cmd.Flags()
	flags.SetInterspersed(true)
	flags.StringVarP(&o.socket, "socket", "s", "", "the `URL` of the daemon, such as unix:///path or tls://host:port (default: the socket of rudderpostd)")
	o.auth.register(flags)
	flags.DurationVarP(&o.timeout, "timeout", "t", 0, "how long to wait for the reply, such as 5s (default: no limit)")
	flags.BoolVarP(&o.raw, "raw", "r", false, "print the reply unformatted, on one line")
	flags.BoolVarP(&o.argumentsOnly, "arguments", "a", false, "print only the arguments of the reply, as input for another command; a failed reply goes to standard error")
	flags.StringVar(&o.completionShell, "completion", "", "print a completion script for bash, zsh, fish or powershell")
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if executed, err := cmd.ExecuteContextC(ctx); err != nil {
		text := err.Error()
		if executed == cmd {
			text = escapeLine(text) // it may contain text of the daemon
		}
		fmt.Fprintln(stderr, "steer:", text)
		switch {
		case executed != cmd:
			status = int(wire.CodeError) // mostly an error of a file
			if statusErr, ok := errors.AsType[*statusError](err); ok {
				status = statusErr.status
			}
		case status == exitOK:
			status = exitUsage
			fmt.Fprintln(stderr, "steer: try steer --help")
		}
	}
	return status
}

// checkArgs refuses a command line without a command, and one with a URL in place of the command.
func (o *options) checkArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 && o.completionShell == "" {
		return errors.New("no command given")
	}
	if len(args) > 0 && strings.Contains(args[0], "://") {
		return fmt.Errorf("%q is a URL, not a command; write steer -s URL COMMAND", args[0])
	}
	return nil
}

// sendCommand sends the command that args names, and prints the reply. It returns the exit status.
func (o *options) sendCommand(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	input, err := parseArguments(args[1:], stdin)
	if err != nil {
		return exitUsage, err
	}
	dialer, target, err := o.dialer(ctx, stdin, stderr)
	if err != nil {
		return exitUsage, err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no reply within %s", o.timeout))
		defer cancel()
	}
	var types map[string]propertyType
	if input.needsSchema() {
		types = propertyTypes(ctx, dialer, args[0])
	}
	arguments, err := input.encode(types)
	if err != nil {
		return exitUsage, err
	}
	reply, err := client.Do(ctx, dialer, wire.Request{Command: args[0], Arguments: arguments})
	if err != nil {
		return explainFailure(ctx, err, target)
	}
	if o.argumentsOnly {
		err = printReplyArguments(stdout, stderr, reply, o.raw)
	} else {
		err = printReply(stdout, reply, o.raw)
	}
	if err != nil {
		return exitInternal, err
	}
	if err := reply.Err(); err != nil && !o.raw {
		printFieldErrors(stderr, err)
		hintReplyGiven(stderr, arguments)
	}
	return exitStatus(reply.Code), nil
}

// dialer returns a dialer for the daemon, and its URL or path for error texts. It may prompt for a password.
func (o *options) dialer(ctx context.Context, stdin io.Reader, stderr io.Writer) (transport.Dialer, string, error) {
	target := o.socket
	if target == "" {
		path, err := targets.DefaultSocket()
		if err != nil {
			return nil, "", fmt.Errorf("%w; give the URL of the daemon with -s", err)
		}
		target = targets.UnixURL(path)
	}
	id, err := o.auth.load(ctx, stdin, stderr)
	if err != nil {
		return nil, "", err
	}
	dialer, err := targets.Parse(target, id)
	return dialer, target, err
}

// printFieldErrors prints the errors of single arguments, if the reply has two or more of them.
func printFieldErrors(stderr io.Writer, err error) {
	rerr, ok := errors.AsType[*wire.Error](err)
	if !ok || len(rerr.Fields) < 2 {
		return
	}
	for _, field := range rerr.Fields {
		fmt.Fprintf(stderr, "steer: %s: %s\n", escapeLine(field.Pointer), escapeLine(field.Text))
	}
}

// hintReplyGiven prints a hint if the arguments of a failed command are a whole reply of another command.
func hintReplyGiven(stderr io.Writer, arguments wire.Value) {
	if r, err := wire.DecodeReply(arguments); err == nil && r.Arguments != nil {
		fmt.Fprintln(stderr, "steer: the arguments are a whole reply; steer -a prints only the arguments of a reply, for another command")
	}
}
