package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// Config is the configuration of the daemon. Its keys are those of the file and of config-get.
type Config struct {
	LogLevel  string `toml:"log-level" json:"log-level" wire:"set"`
	LogFormat string `toml:"log-format" json:"log-format" wire:"set"`
	LogFile   string `toml:"log-file,omitempty" json:"log-file,omitempty"`
	StateDir  string `toml:"state-dir,omitempty" json:"state-dir,omitempty"`

	// ConfigBackups is how many backups of the file config-write keeps; the default is 10, the least is 1.
	ConfigBackups int         `toml:"config-backups" json:"config-backups"`
	Listen        []*Listen   `toml:"listen" json:"listen"`
	Access        Access      `toml:"access" json:"access"`
	Role          []Role      `toml:"role,omitempty" json:"role,omitempty"`
	Principal     []Principal `toml:"principal,omitempty" json:"principal,omitempty"`
	Auth          Auth        `toml:"auth,omitempty" json:"auth"`
	Limits        Limits      `toml:"limits" json:"limits"`
	Audit         Audit       `toml:"audit" json:"audit"`
	Metrics       Metrics     `toml:"metrics,omitempty" json:"metrics"`
	Hook          []*Hook     `toml:"hook,omitempty" json:"hook,omitempty"`

	dir   string   // relative paths start here
	trust []uint32 // users that may own files, besides root and the daemon's user
}

// Access grants rights without a [[principal]].
type Access struct {
	Owner bool `toml:"owner" json:"owner"` // the daemon's user and root have the role admin
}

// A Principal gives a role to a subject.
type Principal struct {
	Subject string `toml:"subject" json:"subject"`
	Role    string `toml:"role" json:"role"`
}

// Auth names the files with passwords and tokens.
type Auth struct {
	UsersFile  string `toml:"users-file,omitempty" json:"users-file,omitempty"`
	TokensFile string `toml:"tokens-file,omitempty" json:"tokens-file,omitempty"`
}

// Limits are the limits of the manager and the transports. In the file, 0 or a missing key means the default.
type Limits struct {
	MaxFrame           Size     `toml:"max-frame" json:"max-frame" wire:"set"`
	MaxInFlight        int      `toml:"max-in-flight" json:"max-in-flight" wire:"set"`
	MaxInFlightPerPeer int      `toml:"max-in-flight-per-peer" json:"max-in-flight-per-peer" wire:"set"`
	MaxQueued          int      `toml:"max-queued" json:"max-queued" wire:"set"`
	MaxBuffered        Size     `toml:"max-buffered" json:"max-buffered" wire:"set"`
	MaxBufferedPerPeer Size     `toml:"max-buffered-per-peer" json:"max-buffered-per-peer" wire:"set"` // 0: a quarter of max-buffered
	MaxConns           int      `toml:"max-conns" json:"max-conns" wire:"set"`
	MaxConnsPerPeer    int      `toml:"max-conns-per-peer" json:"max-conns-per-peer" wire:"set"`
	MaxRate            int      `toml:"max-rate" json:"max-rate" wire:"set"`
	IdleTimeout        Duration `toml:"idle-timeout" json:"idle-timeout" wire:"set"`
	FrameTimeout       Duration `toml:"frame-timeout" json:"frame-timeout" wire:"set"`
	KeepAlive          Duration `toml:"keep-alive" json:"keep-alive" wire:"set"`
	WriteTimeout       Duration `toml:"write-timeout" json:"write-timeout" wire:"set"`
	DrainTimeout       Duration `toml:"drain-timeout" json:"drain-timeout" wire:"set"`
	KeepConns          bool     `toml:"keep-conns" json:"keep-conns" wire:"set"` // of listeners that a transaction removes
	CriticalTimeout    Duration `toml:"critical-timeout" json:"critical-timeout" wire:"set"`
	SlowCommand        Duration `toml:"slow-command" json:"slow-command" wire:"set"`
}

// defaults returns the configuration of a daemon without a file. It has no listener.
func defaults() *Config {
	return &Config{
		LogLevel:      "info",
		LogFormat:     "text",
		ConfigBackups: 10,
		Access:        Access{Owner: true},
		Audit:         Audit{Reads: true, Arguments: "digest", Sync: "writes", OnFailure: "refuse"},
		Limits: Limits{
			MaxFrame:           transport.DefaultMaxFrame,
			MaxInFlight:        16,
			MaxInFlightPerPeer: 1024,
			MaxQueued:          4096,
			MaxBuffered:        256 << 20,
			MaxConns:           4096,
			MaxConnsPerPeer:    3072,
			IdleTimeout:        Duration(10 * time.Second),
			FrameTimeout:       Duration(5 * time.Minute),
			KeepAlive:          Duration(150 * time.Second),
			WriteTimeout:       Duration(10 * time.Second),
			DrainTimeout:       Duration(10 * time.Second),
			CriticalTimeout:    Duration(5 * time.Second),
			SlowCommand:        Duration(250 * time.Millisecond),
		},
	}
}

func (l Limits) managerLimits() mgr.Limits {
	return mgr.Limits{
		MaxConns: l.MaxConns, MaxConnsPerPeer: l.MaxConnsPerPeer, MaxInFlight: l.MaxInFlight, MaxInFlightPerPeer: l.MaxInFlightPerPeer,
		MaxQueued: l.MaxQueued, MaxBuffered: int64(l.MaxBuffered), MaxBufferedPerPeer: int64(l.MaxBufferedPerPeer), MaxRate: l.MaxRate,
		WriteTimeout: time.Duration(l.WriteTimeout), DrainTimeout: time.Duration(l.DrainTimeout),
		CriticalTimeout: time.Duration(l.CriticalTimeout), SlowCommand: time.Duration(l.SlowCommand),
	}
}

// load reads a configuration file, or returns the configuration without a file if file is "". The users in trust may
// own the files that the daemon reads and creates, besides root and the daemon's user.
func load(file string, trust ...uint32) (*Config, error) {
	config := defaults()
	config.trust = trust
	if file == "" {
		dir, err := targets.DefaultDir()
		if err != nil {
			return nil, fmt.Errorf("%w; set it, or give a configuration with -c", err)
		}
		config.dir, config.StateDir = dir, dir
		config.Listen = []*Listen{{Transport: "unix", Path: "control.sock"}}
	} else {
		dir, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		config.dir = dir
		if err := config.readFile(file); err != nil {
			return nil, err
		}
	}
	if err := config.complete(); err != nil {
		if file != "" {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return nil, err
	}
	return config, nil
}

// complete checks the values and fills in the defaults and absolute paths. It returns all errors that it finds.
func (c *Config) complete() error {
	var errs []error
	addError := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) { // slog also accepts info+2
		addError("log-level: %q is none of debug, info, warn and error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		addError("log-format: %q is neither text nor json", c.LogFormat)
	}
	if c.LogFile != "" {
		c.LogFile = c.absolute(c.LogFile)
	}
	if c.ConfigBackups < 1 || c.ConfigBackups > 1000 {
		addError("config-backups: %d is not between 1 and 1000", c.ConfigBackups)
	}
	if c.StateDir != "" {
		c.StateDir = c.absolute(c.StateDir)
	}
	if len(c.Listen) == 0 {
		addError("there is no [[listen]], so no client could reach the daemon")
	}
	if c.Auth.UsersFile != "" {
		c.Auth.UsersFile = c.absolute(c.Auth.UsersFile)
	}
	if c.Auth.TokensFile != "" {
		c.Auth.TokensFile = c.absolute(c.Auth.TokensFile)
	}
	boundBy := map[string]int{}
	for i, l := range c.Listen {
		if err := l.complete(c); err != nil {
			addError("listen %d: %w", i+1, err)
			continue
		}
		if first := boundBy[l.bindKey()]; first > 0 {
			addError("listen %d: %s is already used by listen %d", i+1, l.bindKey(), first)
		}
		boundBy[l.bindKey()] = i + 1
	}
	if _, err := access.NewPolicy(c.accessOptions()); err != nil {
		errs = append(errs, err)
	}
	for i, h := range c.Hook {
		if err := h.complete(c); err != nil {
			addError("hook %d, %q: %w", i+1, h.Name, err)
		}
	}
	if err := c.Audit.complete(c); err != nil {
		errs = append(errs, err)
	}
	if err := c.Metrics.complete(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Limits.check(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// check refuses limits that leave no room for a client to send a command. Each limit has a minimum.
func (l Limits) check() error {
	var errs []error
	for _, limit := range []struct {
		key     string
		value   int64
		minimum int64
		format  func(int64) string
	}{
		{"max-frame", int64(l.MaxFrame), 1 << 10, asSize},
		{"max-in-flight", int64(l.MaxInFlight), 1, asCount},
		{"max-in-flight-per-peer", int64(l.MaxInFlightPerPeer), 4, asCount}, // a cancel is possible while a command waits
		{"max-queued", int64(l.MaxQueued), 4, asCount},
		{"max-buffered", int64(l.MaxBuffered), 256 << 10, asSize}, // one peer may have a quarter
		{"max-conns", int64(l.MaxConns), 2, asCount},              // one conn is reserved for the owner
		{"max-conns-per-peer", int64(l.MaxConnsPerPeer), 2, asCount},
		{"idle-timeout", int64(l.IdleTimeout), int64(time.Second), asDuration},
		{"frame-timeout", int64(l.FrameTimeout), int64(time.Second), asDuration},
		{"write-timeout", int64(l.WriteTimeout), int64(time.Second), asDuration},
		{"drain-timeout", int64(l.DrainTimeout), int64(100 * time.Millisecond), asDuration},
		{"critical-timeout", int64(l.CriticalTimeout), int64(10 * time.Millisecond), asDuration}, // config-set runs in a critical section
		{"keep-alive", int64(l.KeepAlive), int64(time.Second), asDuration},
	} {
		if limit.value < limit.minimum {
			errs = append(errs, fmt.Errorf("limits.%s: must be at least %s", limit.key, limit.format(limit.minimum)))
		}
	}
	if l.MaxRate < 0 {
		errs = append(errs, errors.New("limits.max-rate: must be 0 (no limit) or above"))
	}
	if l.MaxBufferedPerPeer != 0 && l.MaxBufferedPerPeer < 64<<10 {
		errs = append(errs, errors.New("limits.max-buffered-per-peer: must be 0 (a quarter of max-buffered) or at least 64KiB"))
	}
	if l.SlowCommand < 0 {
		errs = append(errs, errors.New("limits.slow-command: must be 0s (no monitoring) or above"))
	}
	return errors.Join(errs...)
}

func asSize(n int64) string     { return Size(n).String() }
func asCount(n int64) string    { return strconv.FormatInt(n, 10) }
func asDuration(n int64) string { return time.Duration(n).String() }

// principals returns the principals of the file.
func (c *Config) principals() []access.Principal {
	all := make([]access.Principal, len(c.Principal))
	for i, p := range c.Principal {
		all[i] = access.Principal{Subject: p.Subject, Role: p.Role}
	}
	return all
}

// accessOptions returns the options of the policy that the file has.
func (c *Config) accessOptions() access.Options {
	return access.Options{NoOwner: !c.Access.Owner, Roles: c.roles(), Principals: c.principals()}
}

func (c *Config) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}

func (c *Config) logLevel() (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel)) // complete has checked the value
	return level
}

func (c *Config) logHandler(w io.Writer, level slog.Leveler) slog.Handler {
	if c.LogFormat == "json" {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: escapeAttr})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}) // the text handler quotes unprintable characters itself
}

// escapeAttr escapes unprintable characters in a log attribute, because peers choose some texts, and a terminal would
// interpret such characters. JSON allows more characters in a string than are safe for a terminal.
func escapeAttr(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	default:
		return a
	}
	if quoted := strconv.Quote(text); strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) && r != '\n' }) {
		text = quoted[1 : len(quoted)-1]
	}
	a.Value = slog.StringValue(text)
	return a
}

// fileRules returns the rules for the files that the daemon reads or creates.
func (c *Config) fileRules() trustedpath.Rules { return trustedpath.Rules{TrustOwners: c.trust} }

// A Role is a role that the file defines.
type Role struct {
	Name      string     `toml:"name" json:"name"`
	Allow     []string   `toml:"allow,omitempty" json:"allow,omitempty"`
	Deny      []string   `toml:"deny,omitempty" json:"deny,omitempty"`
	Arguments []Argument `toml:"arguments,omitempty" json:"arguments,omitempty"`
}

// An Argument restricts an argument of some commands to certain values.
type Argument struct {
	Commands []string `toml:"commands" json:"commands"`
	Pointer  string   `toml:"pointer" json:"pointer"`
	Values   []any    `toml:"values" json:"values"`
}

// roles returns the roles that the file defines.
func (c *Config) roles() []access.Role {
	all := make([]access.Role, len(c.Role))
	for i, r := range c.Role {
		all[i] = access.Role{Name: r.Name, Allow: r.Allow, Deny: r.Deny}
		for _, a := range r.Arguments {
			all[i].Arguments = append(all[i].Arguments, access.ArgumentRule{Commands: a.Commands, Pointer: a.Pointer, Values: a.Values})
		}
	}
	return all
}

// roleNames returns the names of all roles, the built-in ones first.
func (c *Config) roleNames() []string {
	names := secrets.Roles()
	for _, r := range c.Role {
		names = append(names, r.Name)
	}
	return names
}
