package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A report has the results of a run.
type report struct {
	*options
	plan
	about    about
	found    results
	problems []string
}

// about has the conditions of a run.
type about struct {
	began, ended string
	load         [2]string
}

func aboutThisMachine() about {
	return about{began: time.Now().Format(time.RFC3339), load: [2]string{load()}}
}

func (a *about) after() { a.ended, a.load[1] = time.Now().Format(time.RFC3339), load() }

// load returns the load average of the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func (r *report) write() error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r.found, "", "\t")
	if err != nil {
		return err
	}
	files := map[string][]byte{"results.json": text}
	if r.base != "" {
		files["report.md"] = r.buildsMarkdown()
		return r.writeFiles(files)
	}
	files["report.md"] = r.markdown()
	for name, c := range r.charts() {
		files[name] = c.svg()
	}
	return r.writeFiles(files)
}

func (r *report) writeFiles(files map[string][]byte) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Side by side\n\n")
	r.conditions(&b)
	b.WriteString("A cell is the median of the rounds (least–greatest). × is the ratio to the floor within a round, its median and in brackets the interval " +
		"of 95 % (order statistics; the least and the greatest of up to eight rounds, which is 94 % with five). CPU is that of the server's processes. A client that is " +
		"\"own\" is written in Go and costs more than the raw one: rates of the two are not comparable, ratios to a floor are taken with the same kind.\n")
	b.WriteString("\n## What must hold\n\n")
	reportGoals(&b, r.goals, r.found)
	for _, name := range slices.Sorted(maps.Keys(r.charts())) {
		fmt.Fprintf(&b, "\n![%s](%s)\n", strings.TrimSuffix(name, ".svg"), name)
	}
	for _, w := range works {
		if len(r.found[w.Name]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s: %s\n\n", w.Name, w.Summary)
		if w.Idle {
			r.idleTable(&b, w)
		} else {
			r.table(&b, w)
		}
	}
	r.notes(&b)
	return b.Bytes()
}

// conditions writes when and where the run was.
func (r *report) conditions(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s to %s, %s on %d processors, %d rounds of %v. Load of the machine (a minute's average): %s before, %s after.\n\n",
		r.about.began, r.about.ended, runtime.Version(), runtime.NumCPU(), r.rounds, r.window, r.about.load[0], r.about.load[1])
}

// contestants returns the measured contestants.
func (r *report) contestants() []contestant {
	return slices.DeleteFunc(slices.Clone(contestants), func(c contestant) bool {
		return !slices.ContainsFunc(works, func(w work) bool { return len(r.found[w.Name][c.name]) > 0 })
	})
}

func (r *report) table(b *bytes.Buffer, w work) {
	b.WriteString("| contestant | client | commands/s | × floor | floor | p50 µs | p99 µs | p99.9 µs | server CPU µs | × floor | allocations |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.contestants() {
		rates := r.found.figures(w.Name, c.name, byRate)
		if len(rates) == 0 {
			continue
		}
		low, high := rates.spread()
		client := "raw"
		if !c.wire.raw() {
			client = "own"
		}
		latency := func(i int) string {
			return short(r.found.figures(w.Name, c.name, metric{of: func(x result) float64 { return x.Latency[i] * 1e6 }}).median())
		}
		cpu := r.found.figures(w.Name, c.name, byCPU).median() * 1e6
		fmt.Fprintf(b, "| %s | %s | %s (%s–%s) | %s | %s | %s | %s | %s | %.1f | %s | %s |\n", c.name, client, short(rates.median()), short(low), short(high),
			r.times(w, c, byRate), c.floor, latency(0), latency(1), latency(2), cpu, r.times(w, c, byCPU), allocs(r.found.figures(w.Name, c.name, byAllocs).median()))
	}
}

func (r *report) idleTable(b *bytes.Buffer, w work) {
	fmt.Fprintf(b, "%d conns, KiB of resident memory for each.\n\n| contestant | as it comes | × floor | floor | without garbage |\n|---|---|---|---|---|\n", r.idle)
	for _, c := range r.contestants() {
		all := r.found.figures(w.Name, c.name, byMemory)
		if len(all) == 0 {
			continue
		}
		each := 1024 * float64(r.idle)
		low, high := all.spread()
		settled := "unknown"
		if s := r.found.figures(w.Name, c.name, metric{of: func(x result) float64 { return x.Settled }}).median(); s >= 0 {
			settled = fmt.Sprintf("%.2f", s/each)
		}
		fmt.Fprintf(b, "| %s | %.2f (%.2f–%.2f) | %s | %s | %s |\n", c.name, all.median()/each, low/each, high/each, r.times(w, c, byMemory), c.floor, settled)
	}
}

// times returns the ratio to the floor, with its interval.
func (r *report) times(w work, c contestant, m metric) string {
	s := r.found.ratios(w.Name, c.name, c.floor, m)
	if len(s) == 0 {
		return ""
	}
	low, high := s.interval()
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", s.median(), low, high)
}

// notes writes the limits of the comparison, the versions and the problems.
func (r *report) notes(b *bytes.Buffer) {
	b.WriteString("\n## What is not comparable\n\n")
	for _, c := range r.contestants() {
		if c.note != "" {
			fmt.Fprintf(b, "* %s: %s.\n", c.name, c.note)
		}
	}
	b.WriteString("* Clients and server share the processors. A closed loop shows both; the server's CPU is free of the client.\n" +
		"* At 256 conns latency is mostly queueing: the median is conns ÷ rate.\n" +
		"* Large replies are mostly copying through the socket.\n")
	b.WriteString("\n## Versions\n\n")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			fmt.Fprintf(b, "* %s %s\n", d.Path, d.Version)
		}
	}
	r.wentWrong(b)
}

// wentWrong writes the problems of the run.
func (r *report) wentWrong(b *bytes.Buffer) {
	if len(r.problems) > 0 {
		b.WriteString("\n## What went wrong\n\n")
		for _, p := range r.problems {
			fmt.Fprintf(b, "* %s\n", p)
		}
	}
}

// short writes a number with three digits.
func short(f float64) string {
	switch {
	case f >= 100_000:
		return fmt.Sprintf("%.0fk", f/1000)
	case f >= 1000:
		return fmt.Sprintf("%.1fk", f/1000)
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

func allocs(f float64) string {
	if !(f >= 0) {
		return ""
	}
	return fmt.Sprintf("%.1f", f)
}
