package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/internal/sharedfile"
)

// A transaction replaces the configuration of the daemon. The daemon's start is a transaction too, without an old
// configuration.
//
//	phase    | goroutine                | what it does                                          | on error
//	prepare  | the caller's             | makes all that is new, beside what runs; may block    | it calls discard itself
//	check    | the caller's             | checkLockOut, unless the client forces the change     | the caller calls discard
//	commit   | the loop's               | runs precommit, then replaces everything; never waits | the caller calls discard
//	finish   | the caller's             | drains and closes what is no longer in use            | none
//	discard  | the caller's             | closes what is new, and rolls precommit back          | none
//
// The caller is the goroutine of config-set, config-test or config-reload, one at a time (settings.exclusively).
// config-test ends with discard after prepare. At the start, the goroutine of serve prepares and commits before the
// loop runs.
type transaction struct {
	d    *daemon
	old  *snapshot
	next *snapshot

	newListeners []*listener // opened by prepare; commit starts them

	superseded []*listener    // open listeners that new ones replace
	precommit  []func() error // changes that can fail and that clients notice; run by commit before the others
	onCommit   []func()
	rollback   []func()
	hooks      *hooks.Change
	auditLog   *audit.Log     // opened by prepare; nil: it stays
	logFile    *os.File       // opened by prepare; nil: it stays
	metrics    *metricsServer // opened by prepare; nil: it stays
}

// A snapshot is a configuration with the objects that were made from it. commit replaces the
// daemon's current snapshot; the fields of a committed one do not change.
type snapshot struct {
	*Config
	creds     *credentials
	listeners []*listener
	hash      string
	metrics   *metricsServer
}

// prepare makes all new objects that a configuration needs. The running daemon does not change.
func (d *daemon) prepare(ctx context.Context, config *Config) (_ *transaction, err error) {
	tx := &transaction{d: d, old: d.current.Load(), next: &snapshot{Config: config}}
	if tx.old == nil {
		tx.old = &snapshot{Config: &Config{}}
	}
	defer func() {
		if err != nil {
			tx.discard()
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"state", tx.prepareState}, {"log", tx.prepareLog}, {"audit", tx.prepareAudit}, {"credentials", tx.prepareCredentials},
		{"listen", tx.prepareListeners}, {"metrics", tx.prepareMetrics}, {"hooks", tx.prepareHooks},
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
	return tx, nil
}

func (tx *transaction) prepareState(context.Context) (err error) {
	if err := tx.next.makeStateDir(); err != nil {
		return err
	}
	tx.removeLeftovers()
	tx.next.hash, err = tx.next.computeHash()
	return err
}

func (tx *transaction) prepareLog(context.Context) (err error) {
	if tx.next.LogFile != "" && tx.next.LogFile != tx.old.LogFile {
		if tx.logFile, err = openAppend(tx.next.LogFile, tx.next.trust); err != nil {
			return fmt.Errorf("log-file: %w", err)
		}
	}
	return nil
}

// prepareAudit opens the audit file. An open one cannot be moved, because the outcome of a running call belongs to the
// same file as its intent.
func (tx *transaction) prepareAudit(context.Context) (err error) {
	if tx.d.recorder.Load() == nil {
		tx.auditLog, err = tx.next.Audit.open(tx.d.log, tx.next.trust)
		return err
	}
	if tx.next.Audit.File != tx.old.Audit.File {
		return fmt.Errorf("audit.file: cannot be moved from %s while the daemon runs; restart the daemon", tx.old.Audit.File)
	}
	return nil
}

func (tx *transaction) prepareCredentials(context.Context) (err error) {
	tx.next.creds, err = loadCredentials(tx.next.Config, tx.old.creds, tx.d.log)
	return err
}

func (tx *transaction) prepareMetrics(context.Context) (err error) {
	tx.next.metrics = tx.old.metrics
	switch now, before := tx.next.Metrics, tx.old.Metrics; {
	case now.Listen == before.Listen && slices.Equal(now.AllowHosts, before.AllowHosts):
	case now.Listen == before.Listen && now.Listen != "":
		return errors.New("metrics.allow-hosts: can be changed while the daemon runs only together with listen; restart the daemon")
	default:
		tx.next.metrics, err = now.open(tx.d.metrics, tx.d.keepAlive, tx.d.ready)
		tx.metrics = tx.next.metrics
	}
	return err
}

func (tx *transaction) prepareHooks(ctx context.Context) error {
	configs := make([]hooks.Config, len(tx.next.Hook))
	for i, h := range tx.next.Hook {
		var err error
		if configs[i], err = h.hookConfig(tx.next.trust); err != nil {
			return fmt.Errorf("hook %d, %q: %w", i+1, h.Name, err)
		}
	}
	var err error
	tx.hooks, err = tx.d.hooks.Prepare(ctx, configs)
	return err
}

// commit puts the configuration in force. It runs on the loop, between two commands, and does not block. After an error
// the caller calls discard, and nothing has changed.
func (tx *transaction) commit() error {
	if err := failpoint("before swap"); err != nil {
		return err
	}
	for _, see := range tx.precommit {
		if err := see(); err != nil {
			return err
		}
	}
	if err := tx.hooks.Commit(); err != nil {
		return err
	}
	d := tx.d
	_ = d.policy.Update(tx.next.creds.access) // loadCredentials has checked these options
	d.auth.Store(tx.next.creds.auth)
	d.manager.SetLimits(tx.next.Limits.managerLimits())
	for _, change := range tx.onCommit {
		change()
	}
	if tx.auditLog != nil {
		d.recorder.Store(tx.auditLog)
	} else if log := d.recorder.Load(); log != nil {
		log.Set(tx.next.Audit.options(d.log))
	}
	if tx.next.LogLevel != tx.old.LogLevel {
		d.level.Set(tx.next.logLevel())
	}
	d.logHandler.Replace(tx.next.logHandler(d.logFile, &d.level))
	d.logFile.setFormat(tx.next.formatRecord)
	if tx.next.LogFile != tx.old.LogFile {
		d.logFile.swap(tx.next.LogFile, tx.logFile)
	}
	d.current.Store(tx.next)
	for _, ln := range tx.newListeners {
		ln.start()
	}
	_ = failpoint("after swap")
	return nil
}

// finish closes what is no longer in use. It drains the conns of removed listeners and returns their number. The conns
// of a listener that another one has superseded stay open, and so do those of all removed listeners with keep-conns.
func (tx *transaction) finish() (draining int) {
	_ = failpoint("before close")
	for _, ln := range tx.old.listeners {
		switch {
		case slices.Contains(tx.next.listeners, ln):
		case tx.next.Limits.KeepConns, slices.Contains(tx.superseded, ln):
			ln.stopAccepting()
		default:
			draining += ln.drain(time.Duration(tx.next.Limits.DrainTimeout))
		}
	}
	if tx.old.metrics != tx.next.metrics {
		tx.old.metrics.close()
	}
	_ = failpoint("after close")
	return draining
}

// discard closes what prepare has opened, and rolls back the changes of a failed commit.
func (tx *transaction) discard() {
	for _, ln := range tx.newListeners {
		ln.close()
	}
	for _, undo := range slices.Backward(tx.rollback) {
		undo()
	}
	if tx.hooks != nil {
		tx.hooks.Discard()
	}
	tx.metrics.close()
	if tx.next.creds != nil {
		tx.next.creds.removeBootstrapToken()
	}
	if tx.logFile != nil {
		_ = tx.logFile.Close()
	}
	if tx.auditLog != nil {
		_ = tx.auditLog.Close()
	}
}

// announce prints the new listeners with a hint how to connect, and logs warnings about the configuration.
func (tx *transaction) announce(stdout io.Writer, log *slog.Logger) {
	for _, ln := range tx.newListeners {
		fmt.Fprintf(stdout, "listening on %s%s\n", ln.url, tx.connectHint(ln.config, ln.url))
	}
	if tx.metrics != nil {
		fmt.Fprintf(stdout, "metrics for Prometheus are at http://%s/metrics\n", tx.metrics.addr)
	}
	if tx.next.creds.bootstrapToken != "" {
		fmt.Fprintf(stdout, "a bootstrap token with the role monitor, valid for a day, is in %s\n", tx.next.creds.bootstrapToken)
	}
	for i, ln := range tx.next.listeners {
		if warning := ln.config.unreachableWarning(); warning != "" {
			log.Warn(fmt.Sprintf("listen %d: %s", i+1, warning))
		}
	}
	for _, line := range slices.Concat(tx.d.policy.UndefinedRoles(), tx.d.policy.UnusedRules(tx.d.manager.Commands())) {
		log.Warn(line)
	}
}

// removeLeftovers removes the temporary files of killed processes, beside the files that the daemon and steer replace:
// in the state-dir, in its PKI, and beside the configuration, users and tokens. Other files lose their leftovers when
// they are replaced the next time. The audit removes its own. An error is only logged.
func (tx *transaction) removeLeftovers() {
	var errs []error
	if dir := tx.next.StateDir; dir != "" {
		errs = append(errs, sharedfile.RemoveAllLeftovers(dir), sharedfile.RemoveAllLeftovers(filepath.Join(dir, "pki")))
	}
	for _, file := range []string{tx.d.file, tx.next.Auth.UsersFile, tx.next.Auth.TokensFile} {
		if file != "" {
			errs = append(errs, sharedfile.RemoveLeftovers(file))
		}
	}
	if err := errors.Join(errs...); err != nil {
		tx.d.log.Warn("temporary files of a killed process cannot be removed", "error", err)
	}
}

// failpoint is called before and after each step of a transaction, with the name of the step. Tests replace it, to
// return an error there, or to end the process.
var failpoint = func(string) error { return nil }
