package hooks

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// A Config configures one library. A Config with Exec runs a program as the daemon's user. So it must come from a
// file that only users with that right can change, never from a peer.
type Config struct {
	// Name identifies the library in lists, logs and errors. It is required and unique. Without Exec it selects an
	// element of Set.Libraries. It has up to four words of lower-case letters and digits, joined by hyphens.
	Name string

	// Exec is the program and its arguments. No shell sees them. The program is an absolute path. It, the
	// interpreter that its first line names, and every other absolute path of a file among the arguments must
	// belong to root, to the process's user or to one of TrustOwners, and no other user may write to them. The same
	// holds for the folders above up to / (except that a folder with the sticky bit may be open to all users) and
	// for symbolic links on the way. Empty: the library is compiled in.
	Exec []string

	// TrustOwners are the ids of users that may own the files of Exec, beside root and the process's user. It is
	// meant for containers.
	TrustOwners []uint32

	// Dir is the folder in which the program runs. Empty: the root folder.
	Dir string

	// Env is the environment of the program, each element NAME=value. If it has no PATH, a default PATH is added. The
	// environment of the daemon is not inherited.
	Env []string

	// Parameters are passed to the library, in JSON. nil: an empty map.
	Parameters wire.Value

	// Overrides names the native commands that commands of the library replace. A command of the library with any other
	// existing name is an error.
	Overrides []string

	// Timeout is how long a process may take for one call. 0: 30 s.
	Timeout time.Duration

	// Stamp is any text. A library whose Stamp has changed is loaded again, also if no other field has changed. It
	// can be the modification time of the program.
	Stamp string

	// MaxOutput is the longest frame in bytes that a process may write. 0: 1 MiB.
	MaxOutput int
}

const (
	defaultTimeout   = 30 * time.Second
	defaultMaxOutput = 1 << 20
)

// filled returns a deep copy of c with the defaults.
func (c Config) filled() Config {
	c.Exec, c.Env, c.Overrides = slices.Clone(c.Exec), slices.Clone(c.Env), slices.Clone(c.Overrides)
	c.TrustOwners = slices.Clone(c.TrustOwners)
	c.Parameters = slices.Clone(c.Parameters)
	if c.Parameters == nil {
		c.Parameters = wire.Value("{}")
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = defaultMaxOutput
	}
	return c
}

func (c Config) equal(other Config) bool { return reflect.DeepEqual(c, other) }

// check returns all errors of the configurations themselves.
func check(configs []Config) error {
	var errs []error
	owner := map[string]string{}
	seen := map[string]bool{}
	for _, c := range configs {
		if err := c.check(); err != nil {
			errs = append(errs, fmt.Errorf("hook '%s': %w", wire.Shorten(c.Name), err))
		}
		if seen[c.Name] {
			errs = append(errs, fmt.Errorf("hook '%s': there are two of this name", c.Name))
		}
		seen[c.Name] = true
		for _, name := range c.Overrides {
			if other, exists := owner[name]; exists {
				errs = append(errs, fmt.Errorf("hook '%s': '%s' overrides '%s' already", c.Name, other, name))
			}
			owner[name] = c.Name
		}
	}
	return errors.Join(errs...)
}

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}(-[a-z0-9]{1,31}){0,3}$`)

func (c *Config) check() error {
	switch {
	case !nameRule.MatchString(c.Name):
		return errors.New("its name must have one to four words of lower-case letters and digits, with hyphens between them")
	case len(c.Exec) > 0 && !filepath.IsAbs(c.Exec[0]):
		return fmt.Errorf("exec: '%s' is no absolute path", c.Exec[0])
	case c.Dir != "" && !filepath.IsAbs(c.Dir):
		return fmt.Errorf("dir: '%s' is no absolute path", c.Dir)
	case len(c.Exec) == 0 && (c.Dir != "" || len(c.Env) > 0 || c.Timeout != 0 || c.MaxOutput != 0):
		return errors.New("a folder, an environment, a timeout and a limit of output are for a process; say exec")
	case c.Parameters != nil && !c.Parameters.Valid():
		return errors.New("its parameters are no JSON")
	case c.Timeout < 0 || c.MaxOutput < 0:
		return errors.New("a timeout and a limit of output are above 0")
	}
	for _, entry := range c.Env {
		if name, _, ok := strings.Cut(entry, "="); !ok || name == "" {
			return fmt.Errorf("env: '%s' is not of the form NAME=value", wire.Shorten(entry))
		}
	}
	return nil
}
