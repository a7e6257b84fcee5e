package access

import (
	"fmt"
	"slices"

	"github.com/rudderpost/rudderpost/mgr"
)

// Idle says, a line each, which names and globs in the roles match none of the commands: they are
// misspelled, or about commands that come later. A rule on arguments that matches nothing restricts
// nothing, and so deserves a look.
func (p *Policy) Idle(commands []mgr.Command) (lines []string) {
	for _, r := range p.law.Load().roles[len(builtin):] {
		look := func(what, glob string) {
			if !slices.ContainsFunc(commands, func(c mgr.Command) bool { return matchesGlob(glob, c.Name) }) {
				lines = append(lines, fmt.Sprintf("the role %q %s %q, and no command is called so", r.name, what, glob))
			}
		}
		for _, e := range r.allow {
			if e.level == 0 {
				look("allows", e.text)
			}
		}
		for _, e := range r.deny {
			if e.level == 0 {
				look("denies", e.text)
			}
		}
		for _, d := range r.demands {
			for _, glob := range d.commands {
				look("has a rule on the arguments of", glob)
			}
		}
	}
	return lines
}
