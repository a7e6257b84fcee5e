package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
)

// buildBase builds the bench program of another checkout of this repository, which has the base build of rudderpost in
// it. It returns the path of the program.
func buildBase(checkout, dir string) (path string, err error) {
	module, err := filepath.Abs(filepath.Join(checkout, "bench"))
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "base-bench")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = module
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", module, err, text)
	}
	return path, nil
}

// baseName is the name under which results has the figures of the base build.
func baseName(contestant string) string { return contestant + " (base)" }

// ownTasks removes all tasks but those of rudderpost: two builds of this repository do not differ in the others. Each task
// is measured in all rounds.
func (p plan) ownTasks(rounds int) plan {
	var own []task
	for _, t := range p.tasks {
		if slices.ContainsFunc(ours, func(c contestant) bool { return c.name == t.contestant.name }) {
			t.rounds = rounds
			own = append(own, t)
		}
	}
	return plan{tasks: own, sizes: p.sizes}
}

// bothBuilds measures a task with the base build and with this one, right after each other, in random order.
func (r *runner) bothBuilds(round int, t task) {
	builds := []func(){
		func() { r.measureInto(round, t, r.baseProgram, baseName(t.contestant.name)) },
		func() { r.measureInto(round, t, "", t.contestant.name) },
	}
	rand.Shuffle(len(builds), func(i, j int) { builds[i], builds[j] = builds[j], builds[i] })
	for _, measure := range builds {
		measure()
	}
}

// A comparison is one line of the report of two builds.
type comparison struct {
	task      string
	metric    metric
	base, new float64 // medians
	ratio     float64 // the median of the ratios within a round, new to base
	low, high float64 // the interval of the ratio
	rounds    int
}

const worse = "**worse**"

// change says in one word how the new build differs from the base. It differs if the whole interval is on one side of 1.
func (c comparison) change() string {
	switch {
	case c.rounds == 0:
		return "not measured"
	case c.low <= 1 && c.high >= 1:
		return "noise"
	case c.ratio < 1 == c.metric.less:
		return "better"
	}
	return worse
}

// comparisons returns the lines of all tasks, in the order of the plan. A metric that the server does not count has no line.
func (f results) comparisons(tasks []task) (all []comparison) {
	metrics := []metric{byRate, byCPU, byP99, byAllocs}
	for _, t := range tasks {
		of := metrics
		if t.work.Idle {
			of = []metric{byMemory, bySettled}
		}
		for _, m := range of {
			c := comparison{task: t.name(), metric: m}
			w, name := t.work.Name, t.contestant.name
			c.base, c.new = f.figures(w, baseName(name), m).median(), f.figures(w, name, m).median()
			if c.base < 0 || c.new < 0 {
				continue // the server does not count its allocations
			}
			ratios := f.ratios(w, name, baseName(name), m)
			c.ratio, c.rounds = ratios.median(), len(ratios)
			c.low, c.high = ratios.interval()
			all = append(all, c)
		}
	}
	if f[sizeWork] != nil {
		c := comparison{task: "greeter", metric: bySize, rounds: 1}
		c.base, c.new = f.figures(sizeWork, baseName("greeter"), bySize).median(), f.figures(sizeWork, "greeter", bySize).median()
		c.ratio = c.new / c.base
		c.low, c.high = c.ratio, c.ratio
		all = append(all, c)
	}
	return all
}

// reportBuilds writes a table with a line for each task and metric. It returns true if none is worse.
func reportBuilds(out io.Writer, all []comparison) (good bool) {
	fmt.Fprintf(out, "| | contestant@work | metric | base | new | new ÷ base | 95 %% | rounds |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %.3f | %.3f–%.3f | %d |\n",
			c.change(), c.task, c.metric.withUnit(), c.metric.text(c.base), c.metric.text(c.new), c.ratio, c.low, c.high, c.rounds)
	}
	return !slices.ContainsFunc(all, func(c comparison) bool { return c.change() == worse })
}

// buildsMarkdown is report.md of a run with -base.
func (r *report) buildsMarkdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Two builds\n\n")
	r.conditions(&b)
	fmt.Fprintf(&b, "Base is the checkout %s. A figure is the median of the rounds. A ratio is taken within a round, where both builds are "+
		"measured right after each other; the table has its median and its interval of 95 %%. \"noise\" means that the interval contains 1.\n\n", r.base)
	reportBuilds(&b, r.found.comparisons(r.tasks))
	r.wentWrong(&b)
	return b.Bytes()
}
