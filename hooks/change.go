package hooks

import (
	"errors"
	"slices"

	"github.com/rudderpost/rudderpost/mgr"
)

// A Change is a new set of libraries that have been loaded beside those that run. It is committed or
// discarded once.
type Change struct {
	set     *Set
	base    *generation // what ran when it was prepared
	entries []*entry
	fresh   []*entry // of those, what Prepare loaded
	settled bool
}

// Commit puts the change in force. It must be called on the loop; it does not wait. Either everything
// changes, in one step, or the error says why nothing has: then Discard is still to be called. What the
// change does not keep is stopped afterwards, beside the loop.
func (c *Change) Commit() error {
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case c.settled:
		return errors.New("this change of the hook libraries has been committed or discarded before")
	case s.running != c.base:
		return errors.New("the hook libraries have changed since this change was prepared; prepare it again")
	}
	if err := s.Manager.SetLayer(c.layer()); err != nil {
		return err
	}
	c.settled = true
	s.running = &generation{c.entries}
	var gone []*entry
	for _, e := range c.base.entries {
		if slices.Contains(c.entries, e) {
			e.hook.retry()
		} else {
			gone = append(gone, e)
		}
	}
	s.stop(gone)
	return nil
}

// Discard stops what the change had loaded, beside the caller. After Commit has succeeded it does nothing.
func (c *Change) Discard() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if !c.settled {
		c.settled = true
		c.set.stop(c.fresh)
	}
}

// layer is what the manager is told.
func (c *Change) layer() mgr.Layer {
	layer := mgr.Layer{Overrides: map[string]string{}}
	for _, e := range c.entries {
		layer.Commands = append(layer.Commands, e.commands...)
		layer.Middleware = append(layer.Middleware, e.around...)
		for _, name := range e.cfg.Overrides {
			layer.Overrides[name] = e.cfg.Name
		}
	}
	return layer
}
