package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/hooks"
)

// A change is another configuration on its way into force. All that can fail is done beside what runs
// (prepare), then everything is swapped in one step on the loop (commit), and what nobody needs any more is
// dropped (finish). Up to the commit it can be undone (discard), and then nothing has changed. The daemon's
// start is a change too, from nothing.
type change struct {
	d      *daemon
	before *setup
	next   *setup

	fresh []*way // listeners that were opened for it

	superseded []*way         // listeners whose places fresh ones take
	seen       []func() error // what can fail, but would be seen before the swap if it were done earlier
	changed    []func()
	undo       []func()
	hooks      *hooks.Change
	audit      *audit.Log     // newly opened; nil: as before
	logFile    *os.File       // newly opened; nil: as before
	metrics    *metricsServer // newly opened; nil: as before
}

// A setup is a configuration, and what has been made of it.
type setup struct {
	*Config
	id      *identity
	ways    []*way
	hash    string
	metrics *metricsServer
}

// prepare makes all that a configuration asks for and that is not there. Nothing of what runs changes.
func (d *daemon) prepare(ctx context.Context, config *Config) (_ *change, err error) {
	c := &change{d: d, before: d.inForce.Load(), next: &setup{Config: config}}
	if c.before == nil {
		c.before = &setup{Config: &Config{}}
	}
	defer func() {
		if err != nil {
			c.discard()
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"state", c.prepareState}, {"log", c.prepareLog}, {"audit", c.prepareAudit}, {"identity", c.prepareIdentity},
		{"listen", c.prepareListeners}, {"metrics", c.prepareMetrics}, {"hooks", c.prepareHooks},
	} {
		if err := failpoint("before " + step.name); err != nil {
			return nil, err
		}
		if err := step.do(ctx); err != nil {
			return nil, err
		}
		if err := failpoint("after " + step.name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *change) prepareState(context.Context) (err error) {
	if err := c.next.makeStateDir(); err != nil {
		return err
	}
	c.removeLeftovers()
	c.next.hash, err = c.next.hashed()
	return err
}

func (c *change) prepareLog(context.Context) (err error) {
	if c.next.LogFile != "" && c.next.LogFile != c.before.LogFile {
		if c.logFile, err = openAppend(c.next.LogFile, c.next.trust); err != nil {
			return fmt.Errorf("log-file: %w", err)
		}
	}
	return nil
}

// prepareAudit opens the record. One that is open cannot be moved: what has begun would end elsewhere.
func (c *change) prepareAudit(context.Context) (err error) {
	if c.d.record.Load() == nil {
		c.audit, err = c.next.Audit.open(c.d.log, c.next.trust)
		return err
	}
	if c.next.Audit.File != c.before.Audit.File {
		return fmt.Errorf("audit.file: it cannot be moved from %s while the daemon runs; restart it", c.before.Audit.File)
	}
	return nil
}

func (c *change) prepareIdentity(context.Context) (err error) {
	c.next.id, err = identify(c.next.Config, c.before.id, c.d.log)
	return err
}

func (c *change) prepareMetrics(context.Context) (err error) {
	c.next.metrics = c.before.metrics
	switch now, before := c.next.Metrics, c.before.Metrics; {
	case now.Listen == before.Listen && slices.Equal(now.AllowHosts, before.AllowHosts):
	case now.Listen == before.Listen && now.Listen != "":
		return errors.New("metrics.allow-hosts: it cannot be changed while the daemon runs, but together with listen; restart it")
	default:
		c.next.metrics, err = now.open(c.d.metrics, c.d.keepAlive, c.d.ready)
		c.metrics = c.next.metrics
	}
	return err
}

func (c *change) prepareHooks(ctx context.Context) error {
	configs := make([]hooks.Config, len(c.next.Hook))
	for i, h := range c.next.Hook {
		var err error
		if configs[i], err = h.config(c.next.trust); err != nil {
			return fmt.Errorf("hook %d, %q: %w", i+1, h.Name, err)
		}
	}
	var err error
	c.hooks, err = c.d.hooks.Prepare(ctx, configs)
	return err
}

// commit puts the change in force. It runs on the loop, between two commands, and does not wait. After an
// error discard leaves everything as it was.
func (c *change) commit() error {
	if err := failpoint("before swap"); err != nil {
		return err
	}
	for _, see := range c.seen {
		if err := see(); err != nil {
			return err
		}
	}
	if err := c.hooks.Commit(); err != nil {
		return err
	}
	d := c.d
	_ = d.policy.Update(c.next.id.access) // identify has tried it
	d.auth.Store(c.next.id.auth)
	d.manager.SetLimits(c.next.Limits.manager())
	for _, change := range c.changed {
		change()
	}
	if c.audit != nil {
		d.record.Store(c.audit)
	} else if log := d.record.Load(); log != nil {
		log.Set(c.next.Audit.options(d.log))
	}
	if c.next.LogLevel != c.before.LogLevel {
		d.level.Set(c.next.logLevel())
	}
	d.handler.Replace(c.next.logHandler(d.logFile, &d.level))
	d.logFile.setFormat(c.next.formatRecord)
	if c.next.LogFile != c.before.LogFile {
		d.logFile.swap(c.next.LogFile, c.logFile)
	}
	d.inForce.Store(c.next)
	for _, w := range c.fresh {
		w.open()
	}
	_ = failpoint("after swap")
	return nil
}

// finish drops what is no longer in use. It drains the conns of removed listeners and returns their number. The conns of a
// listener that another one has superseded stay open, and so do those of all removed listeners with keep-conns. No other
// part of the change depends on finish.
func (c *change) finish() (draining int) {
	_ = failpoint("before close")
	for _, w := range c.before.ways {
		switch {
		case slices.Contains(c.next.ways, w):
		case c.next.Limits.KeepConns, slices.Contains(c.superseded, w):
			w.retire()
		default:
			draining += w.drain(time.Duration(c.next.Limits.DrainTimeout))
		}
	}
	if c.before.metrics != c.next.metrics {
		c.before.metrics.close()
	}
	_ = failpoint("after close")
	return draining
}

// discard undoes what prepare has done.
func (c *change) discard() {
	for _, w := range c.fresh {
		w.close()
	}
	for _, undo := range slices.Backward(c.undo) {
		undo()
	}
	if c.hooks != nil {
		c.hooks.Discard()
	}
	c.metrics.close()
	if c.next.id != nil {
		c.next.id.forgetFirst()
	}
	if c.logFile != nil {
		_ = c.logFile.Close()
	}
	if c.audit != nil {
		_ = c.audit.Close()
	}
}

// say tells of what deserves a look, and, of listeners that are new, where they are and how a client proves
// there who it is.
func (c *change) say(stdout io.Writer, log *slog.Logger) {
	for _, w := range c.fresh {
		fmt.Fprintf(stdout, "listening on %s%s\n", w.url, c.proof(w.listen, w.url))
	}
	if c.metrics != nil {
		fmt.Fprintf(stdout, "metrics for Prometheus are at http://%s/metrics\n", c.metrics.addr)
	}
	if c.next.id.first != "" {
		fmt.Fprintf(stdout, "a first token, which may read until tomorrow, is in %s\n", c.next.id.first)
	}
	for i, w := range c.next.ways {
		if warning := w.listen.keptOut(); warning != "" {
			log.Warn(fmt.Sprintf("listen %d: %s", i+1, warning))
		}
	}
	for _, line := range slices.Concat(c.d.policy.UndefinedRoles(), c.d.policy.UnusedRules(c.d.manager.Commands())) {
		log.Warn(line)
	}
}
