package main

import (
	"errors"
	"path/filepath"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
)

// removeLeftovers removes the temporary files that killed processes left beside the files that the daemon, and steer,
// replace: in the state-dir, in its PKI, and beside the configuration, users and tokens. A file elsewhere is rid of its
// leftovers when it is replaced the next time. The audit removes its own. The daemon runs on when that fails.
func (c *change) removeLeftovers() {
	var errs []error
	if dir := c.next.StateDir; dir != "" {
		errs = append(errs, sharedfile.RemoveAllLeftovers(dir), sharedfile.RemoveAllLeftovers(filepath.Join(dir, "pki")))
	}
	for _, file := range []string{c.d.file, c.next.Auth.UsersFile, c.next.Auth.TokensFile} {
		if file != "" {
			errs = append(errs, sharedfile.RemoveLeftovers(file))
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.d.log.Warn("temporary files of a killed process cannot be removed", "error", err)
	}
}
