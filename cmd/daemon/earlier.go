package main

import (
	"slices"
	"weak"

	"github.com/rudderpost/rudderpost/mgr"
)

// An earlier is a listener that another has taken the place of. Its conns live on, and nobody should keep by
// that what is no longer allowed there; so it follows the ceilings of those that come after it, downwards:
// who came when less was allowed may have proven less. Nothing but its conns keeps it in memory.
type earlier struct {
	socket weak.Pointer[mgr.Listener]
	most   mgr.Level // 0: there is no ceiling
}

// follow makes w the one that comes after old, and after all those before that.
func (w *way) follow(old *way) {
	w.earlier = slices.DeleteFunc(slices.Clone(old.earlier), func(e earlier) bool { return e.socket.Value() == nil })
	w.earlier = append(w.earlier, earlier{weak.Make(old.Listener), old.listen.ceiling()})
}

// lowerEarlier allows the conns of earlier listeners no more than is allowed now.
func (w *way) lowerEarlier() {
	most := w.listen.ceiling()
	for i := range w.earlier {
		e := &w.earlier[i]
		if most == 0 || e.most != 0 && e.most <= most {
			continue
		}
		e.most = most
		if socket := e.socket.Value(); socket != nil {
			socket.SetMaxAccess(most)
		}
	}
}
