package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// options are the flags of a run.
type options struct {
	only                 string
	rounds, others, idle int
	window               time.Duration
	out, profiles        string
	base                 string // another checkout, to compare with; empty: none
	check                bool
}

// results has the results of all rounds, by work and by contestant.
type results map[string]map[string][]result

// run measures and writes the report. The exit code is 2 if -check is set and a goal is missed.
func run(o *options) (code int, err error) {
	p, err := planFor(o)
	if err != nil {
		return 1, err
	}
	if len(p.tasks) == 0 && !p.sizes {
		return 1, fmt.Errorf("nothing is called like %q; -list says what is called how", o.only)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	r := &runner{options: o, dir: dir, found: results{}, gone: map[string]bool{}}
	if o.base != "" {
		if p = p.ownTasks(o.rounds); len(p.tasks) == 0 && !p.sizes {
			return 1, fmt.Errorf("%q matches no measurement of rudderpost; with -base there are no others", o.only)
		}
		if r.baseProgram, err = buildBase(o.base, dir); err != nil {
			return 1, err
		}
	}
	if r.token, err = share(dir); err != nil {
		return 1, err
	}
	about := aboutThisMachine()
	for round := range o.rounds {
		r.round(round, p.tasks)
	}
	if p.sizes {
		if err := r.sizes(); err != nil {
			r.problems = append(r.problems, err.Error())
		}
	}
	about.after()
	rep := &report{options: o, about: about, plan: p, found: r.found, problems: r.problems}
	if err := rep.write(); err != nil {
		return 1, err
	}
	if o.base != "" {
		good := reportBuilds(os.Stdout, r.found.comparisons(p.tasks))
		fmt.Println("\nwrote", filepath.Join(o.out, "report.md"))
		if o.check && !good {
			return 2, nil
		}
		return 0, nil
	}
	reached := reportGoals(os.Stdout, p.goals, r.found)
	fmt.Println("\nwrote", filepath.Join(o.out, "report.md"))
	if o.check && !reached {
		return 2, nil
	}
	return 0, nil
}

// A runner makes the measurements one after another.
type runner struct {
	*options
	dir, token  string
	baseProgram string // the bench program of the base build; empty: there is none
	found       results
	gone        map[string]bool // contestants that are not installed
	problems    []string
	count       int
}

// round measures each task once: one work after another, each with the contestants in random order.
func (r *runner) round(round int, tasks []task) {
	for _, w := range works {
		turns := slices.DeleteFunc(slices.Clone(tasks), func(t task) bool { return t.work.Name != w.Name || t.rounds <= round })
		rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, t := range turns {
			switch {
			case r.gone[t.contestant.name]:
			case r.baseProgram != "":
				r.bothBuilds(round, t)
			default:
				r.measureInto(round, t, "", t.contestant.name)
			}
		}
	}
}

// measureInto measures a task once, and adds the result to those of name. program is the bench program whose server is
// measured; empty: this one.
func (r *runner) measureInto(round int, t task, program, name string) {
	c, w := t.contestant, t.work
	if w.Idle {
		w.Conns = r.idle
	}
	fmt.Fprintf(os.Stderr, "round %d of %d: %-40s\r", round+1, r.rounds, t.name())
	got, err := r.measure(c, w, program, round == t.rounds-1)
	if errors.Is(err, errMissing) {
		r.gone[c.name] = true
		r.problems = append(r.problems, err.Error())
		return
	}
	if err != nil {
		got.Seconds = 0 // a failed result keeps its place, so that ratios stay within a round
		r.problems = append(r.problems, fmt.Sprintf("round %d: %v", round+1, err))
		fmt.Fprintln(os.Stderr, "\n"+err.Error())
	}
	if r.found[w.Name] == nil {
		r.found[w.Name] = map[string][]result{}
	}
	r.found[w.Name][name] = append(r.found[w.Name][name], got)
}

func (r *runner) measure(c contestant, w work, program string, last bool) (result, error) {
	r.count++
	s := site{Dir: filepath.Join(r.dir, strconv.Itoa(r.count)), Shared: r.dir, Token: r.token, Reply: w.Reply, Each: w.Each, Mixed: w.Mixed}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(s.Dir)
	sv, err := startServer(program, c.name, &s, w.Pinned)
	if err != nil {
		return result{}, err
	}
	defer sv.stop()
	if last && r.profiles != "" && program == "" && sv.Control != "" && !w.Idle {
		defer r.profile(c, w, sv.endpoint)()
	}
	if c.wire.raw() {
		program = "" // the raw client has no code of rudderpost, so it is the same for both builds
	}
	return drive(program, job{Contestant: c.name, Work: w, Window: r.window * time.Duration(max(1, w.Longer)), Site: s, Endpoint: sv.endpoint})
}

// profile starts a CPU profile of the server. wait waits until the profile is written.
func (r *runner) profile(c contestant, w work, e endpoint) (wait func()) {
	done := make(chan error, 1)
	go func() {
		seconds := max(1, int(r.window.Seconds()))
		answer, err := e.control().Get(fmt.Sprintf("http://runtime/debug/pprof/profile?seconds=%d", seconds))
		if err != nil {
			done <- err
			return
		}
		defer answer.Body.Close()
		done <- save(filepath.Join(r.profiles, strings.ReplaceAll(c.name, "/", "-")+"."+w.Name+".pprof"), answer)
	}()
	return func() {
		if err := <-done; err != nil {
			r.problems = append(r.problems, "profile: "+err.Error())
		}
	}
}

func save(name string, answer *http.Response) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// share makes the certificates and the token of a run.
func share(dir string) (token string, err error) {
	s := site{Shared: dir}
	if _, err := tlsconf.Auto(s.pki(), nil); err != nil {
		return "", err
	}
	tokens, err := secrets.OpenTokens(tokenFile(dir))
	if err != nil {
		return "", err
	}
	return tokens.Mint("bench", "bench", time.Time{})
}
