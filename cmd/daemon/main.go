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
// ends the process at such a write (os/signal, "SIGPIPE"). The signal is caught and not ignored: a process that the
// daemon starts would inherit that it is ignored.
func catchSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) } // nothing receives: further signals are dropped

// run is main with an exit status: what a shutdown command asked for, 1 for what went wrong, 2 for a
// wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("rudderpostd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("c", "", "read the configuration from `FILE`")
	check := flags.Bool("check", false, "check the configuration, say what is wrong with it, and exit")
	asInit := flags.Bool("init", false, "run the daemon as a child, and reap the processes that hooks leave behind (for containers; Linux)")
	var trust []uint32
	flags.Func("trust-owner", "accept files and folders of the user `UID` too, beside root and the daemon's user; may be given more than once", func(text string) error {
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
	ctx, stop := untilSignal(stderr)
	defer stop()
	exit, err := serve(ctx, absolute(*file), config, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "rudderpostd:", err)
		return max(exit, 1)
	}
	return exit
}

// untilSignal returns a context that the first signal to stop ends. The second one ends the process,
// for those who cannot wait for the drain.
func untilSignal(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel()
		if s, ok := <-signals; ok {
			fmt.Fprintf(stderr, "rudderpostd: second signal (%s), leaving at once\n", s)
			os.Exit(1)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// absolute makes a path independent of the folder that the daemon was started in.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
