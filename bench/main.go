// Command bench measures rudderpost side by side with the raw floor of each transport, with its peers, and with another build
// of itself. It is a module of its own, so that users of rudderpost do not get the peers as dependencies. At the root of the
// repository, run
//
//	go run -C bench . -h
//
// Each contestant is a process, and another process drives it. Within a round all contestants take turns in random order.
// Ratios are taken within a round. See README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// partVariable is set in the environment of a process that this program starts as a server or a client.
const partVariable = "RUDDERPOST_BENCH_PART"

func main() {
	if os.Getenv(partVariable) != "" {
		os.Exit(part(os.Args[1:]))
	}
	var o options
	flag.StringVar(&o.only, "only", "", "measure only what this `regexp` matches: contestant@work, with its floor, or a line of what must hold, with both its sides")
	flag.IntVar(&o.rounds, "rounds", 15, "how many rounds; fewer than 6 give no interval of 95 %")
	flag.IntVar(&o.others, "others", 5, "how many rounds of what no line of what must hold needs, without -only")
	flag.DurationVar(&o.window, "window", 250*time.Millisecond, "how long each measurement takes, after a warm-up of a fifth of that")
	flag.IntVar(&o.idle, "idle", 10_000, "how many idle conns")
	flag.StringVar(&o.out, "o", "results", "`directory` for report.md, the plots and results.json")
	flag.StringVar(&o.profiles, "cpuprofile", "", "`directory` for a CPU profile of each server, in its last round; with a -window of some seconds")
	flag.StringVar(&o.base, "base", "", "compare two builds: `directory` is another checkout of this repository; measure its rudderpost and this one in turns")
	flag.BoolVar(&o.check, "check", false, "the exit code is 2 when a line of what must hold is missed, or with -base when a line is worse")
	list := flag.Bool("list", false, "name contestants, works and what must hold")
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

// part is the main function of such a process.
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
		fmt.Printf("work        %-26s %s\n", w.Name, w.Summary)
	}
	for _, c := range contestants {
		fmt.Printf("contestant  %-26s %s\n", c.name, c.note)
	}
	for _, g := range goals {
		fmt.Printf("line        %s\n", g.name)
	}
}
