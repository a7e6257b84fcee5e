// Rudderpostd is a daemon without a service of its own. It opens control sockets and serves the commands that all
// daemons share, and those of hook libraries.
//
//	rudderpostd [-c FILE] [-check]
//
// Without a file it opens one UNIX socket, for its own user and root, at $XDG_RUNTIME_DIR/rudderpost/control.sock
// (root: /run/rudderpost/control.sock). steer uses the same default. The file is TOML; config.toml.example has all of
// its keys.
//
// After SIGTERM or SIGINT it serves the accepted commands and ends. A second signal ends it at once. After SIGHUP it
// opens its log-file again and reads the configuration. As a service of systemd (dist/systemd) it reports when it is
// ready and when it stops, and it reports to the watchdog from its loop.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	catchSIGPIPE()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// catchSIGPIPE makes a write to standard output or standard error return EPIPE when its reader is gone. Without it, Go
// ends the process at such a write (os/signal, "SIGPIPE"). The signal is caught and not ignored, because a process that
// the daemon starts would inherit an ignored signal.
func catchSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) } // the channel is not read: further signals are dropped

// surviveSIGHUP keeps SIGHUP from ending the process until it exits. serve handles the signal, but not any more while it
// closes the hooks.
func surviveSIGHUP() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) } // the channel is not read

// run runs the daemon and returns the exit status: that of the shutdown command, 1 for an error, 2 for a wrong command
// line.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("rudderpostd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("c", "", "read the configuration from `FILE`")
	check := flags.Bool("check", false, "check the configuration, print its errors, and exit")
	asInit := flags.Bool("init", false, "run the daemon as a child, and reap the processes that hooks leave behind (for containers; Linux)")
	var trust []uint32
	flags.Func("trust-owner", "also accept files and folders of the user `UID`, besides root and the daemon's user; may be repeated", func(text string) error {
		uid, err := strconv.ParseUint(text, 10, 32)
		trust = append(trust, uint32(uid))
		return err
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "rudderpostd: unexpected argument %q; a configuration file is given with -c\n", flags.Arg(0))
		return 2
	}
	if *asInit && !*check {
		arguments := []string{"-c", *file}
		for _, uid := range trust {
			arguments = append(arguments, "-trust-owner", strconv.FormatUint(uint64(uid), 10))
		}
		return runInit(arguments, stderr)
	}
	config, err := load(*file, trust...)
	if err != nil {
		fmt.Fprintln(stderr, "rudderpostd:", err)
		return 1
	}
	if *check {
		fmt.Fprintln(stdout, "the configuration is good")
		return 0
	}
	surviveSIGHUP()
	ctx, stop := signalContext(stderr)
	defer stop()
	exit, err := serve(ctx, absolute(*file), config, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "rudderpostd:", err)
		return max(exit, 1)
	}
	return exit
}

// signalContext returns a context that ends with the first SIGINT or SIGTERM, or with the init process. The second
// signal ends the process without the drain.
func signalContext(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	cancelWithInit(cancel)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel()
		if s, ok := <-signals; ok {
			fmt.Fprintf(stderr, "rudderpostd: second signal (%s), ending at once\n", s)
			os.Exit(1)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// absolute returns an absolute path, which stays valid after a change of the working directory.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
