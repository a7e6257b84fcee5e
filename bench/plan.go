package main

import "regexp"

// A task is a contestant, a work, and the number of rounds in which it is measured.
type task struct {
	contestant contestant
	work       work
	rounds     int
}

// name returns the name that -only must match.
func (t task) name() string { return t.contestant.name + "@" + t.work.Name }

// A plan has everything that a run measures.
type plan struct {
	tasks []task
	goals []goal
	sizes bool // the run measures the sizes of programs
}

// planFor makes the plan for options. The tasks of a goal are measured in all rounds, the others in fewer, unless -only selects
// them. The floor of a contestant is measured too.
func planFor(o *options) (plan, error) {
	var p plan
	only, err := regexp.Compile(o.only)
	if err != nil {
		return p, err
	}
	rounds := map[string]int{} // by the name of the task
	want := func(work, contestant string, n int) {
		if contestant != "" {
			name := contestant + "@" + work
			rounds[name] = max(rounds[name], n)
		}
	}
	others := o.rounds
	if o.only == "" {
		others = min(o.rounds, o.others)
	}
	for _, w := range works {
		for _, c := range contestants {
			if t := (task{contestant: c, work: w}); c.does(w) && only.MatchString(t.name()) {
				want(w.Name, c.name, others)
				want(w.Name, c.floor, others)
			}
		}
	}
	for _, g := range goals {
		if only.MatchString(g.name) {
			p.sizes = p.sizes || g.work == sizeWork
			want(g.work, g.contestant, o.rounds)
			want(g.work, g.against, o.rounds)
		}
	}
	for _, g := range goals {
		if rounds[g.contestant+"@"+g.work] > 0 && (g.against == "" || rounds[g.against+"@"+g.work] > 0) {
			p.goals = append(p.goals, g)
		}
	}
	for _, w := range works {
		for _, c := range contestants {
			t := task{contestant: c, work: w}
			if t.rounds = rounds[t.name()]; t.rounds > 0 && c.does(w) {
				p.tasks = append(p.tasks, t)
			}
		}
	}
	return p, nil
}
