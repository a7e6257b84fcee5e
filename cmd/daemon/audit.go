package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/rudderpost/rudderpost/audit"
)

// Audit configures the audit file, which has a record of each command. Without a file there is no record.
type Audit struct {
	File      string `toml:"file,omitempty" json:"file,omitempty"`
	Reads     bool   `toml:"reads" json:"reads"`
	Arguments string `toml:"arguments" json:"arguments"`
	Sync      string `toml:"sync" json:"sync"`
	OnFailure string `toml:"on-failure" json:"on-failure"`
}

var (
	auditArguments = map[string]audit.Arguments{"digest": audit.Digest, "clear": audit.Clear}
	auditSyncs     = map[string]audit.Sync{"writes": audit.SyncWrites, "none": audit.SyncNone, "all": audit.SyncAll}
	auditFailures  = map[string]audit.Failure{"refuse": audit.Refuse, "continue": audit.Continue}
)

// complete checks the values.
func (a *Audit) complete(c *Config) error {
	var errs []error
	if a.File != "" {
		a.File = c.absolute(a.File)
	}
	if _, ok := auditArguments[a.Arguments]; !ok {
		errs = append(errs, fmt.Errorf("audit.arguments: %q is neither digest nor clear", a.Arguments))
	}
	if _, ok := auditSyncs[a.Sync]; !ok {
		errs = append(errs, fmt.Errorf("audit.sync: %q is none of writes, none and all", a.Sync))
	}
	if _, ok := auditFailures[a.OnFailure]; !ok {
		errs = append(errs, fmt.Errorf("audit.on-failure: %q is neither refuse nor continue", a.OnFailure))
	}
	return errors.Join(errs...)
}

// open opens the audit file, or returns nil if the configuration names none.
func (a *Audit) open(log *slog.Logger, trust []uint32) (*audit.Log, error) {
	if a.File == "" {
		return nil, nil
	}
	options := a.options(log)
	options.TrustOwners = trust
	return audit.Open(options)
}

func (a *Audit) options(log *slog.Logger) audit.Options {
	return audit.Options{
		Path: a.File, NoReads: !a.Reads, Logger: log,
		Arguments: auditArguments[a.Arguments], Sync: auditSyncs[a.Sync], OnFailure: auditFailures[a.OnFailure],
	}
}
