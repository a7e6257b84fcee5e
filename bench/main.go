// Command bench measures rudderpost side by side with the raw floor of each transport and with its peers.
// It is a module of its own, so that nobody who uses rudderpost has the peers' modules in his graph; from the
// repository's root it is run by
//
//	go run -C bench . -h
//
// Each contestant is a process, and what drives it is another. All contestants take turns within a round, in
// random order, and what counts are ratios within a round. See README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// partVariable is in the environment of the processes that this program starts of itself.
const partVariable = "RUDDERPOST_BENCH_PART"

func main() {
	if os.Getenv(partVariable) != "" {
		os.Exit(part(os.Args[1:]))
	}
	var o options
	flag.StringVar(&o.contestants, "contestants", "", "names or globs with commas between, of `contestants`; their floors come along. Empty: all")
	flag.StringVar(&o.works, "works", "", "names or globs with commas between, of `works`. Empty: all")
	flag.IntVar(&o.rounds, "rounds", 6, "how many rounds; fewer than 6 give no interval of 95 %")
	flag.DurationVar(&o.window, "window", 400*time.Millisecond, "how long each measurement takes, after a warm-up of a fifth of that")
	flag.IntVar(&o.idle, "idle", 10_000, "how many idle conns")
	flag.StringVar(&o.out, "o", "results", "`directory` for report.md, the plots and results.json")
	flag.StringVar(&o.profiles, "profile", "", "`directory` for a CPU profile of each server, in the last round")
	flag.BoolVar(&o.check, "check", false, "compare with the goals; the exit code is 2 when one is missed")
	list := flag.Bool("list", false, "name contestants and works")
	flag.Parse()
	if *list {
		printList()
		return
	}
	code, err := run(&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// part is what a process does that was started by another of this program.
func part(arguments []string) int {
	switch strings.Join(arguments[:1], "") {
	case "serve":
		return serve(arguments[1])
	case "drive":
		return driveHere()
	}
	return 1
}

func printList() {
	for _, w := range works {
		fmt.Printf("work        %-22s %s\n", w.Name, w.Summary)
	}
	for _, c := range contestants {
		fmt.Printf("contestant  %-22s %s\n", c.name, c.note)
	}
}
