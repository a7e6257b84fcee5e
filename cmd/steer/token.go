package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/spf13/cobra"
)

// tokenCommand returns "steer token", which writes the tokens-file of a daemon.
func tokenCommand(stdout io.Writer) *cobra.Command {
	cmd := group("token", "Give and take away tokens.", `Write the tokens-file of a daemon, which its [auth] names: secrets for programs, and
which role each of them gives. A daemon that runs follows within a second.`)
	t := &trust{}
	t.flag(cmd)
	cmd.AddCommand(tokenMint(stdout, t), tokenRemove(t), tokenList(stdout, t))
	return cmd
}

func tokenMint(stdout io.Writer, trusting *trust) *cobra.Command {
	var role, expires, to string
	cmd := &cobra.Command{
		Use:   "mint FILE ID --role ROLE",
		Short: "Make a token and print it, which happens only once.",
		Example: `  steer token mint run/tokens ci --role monitor --expires 30d --to ~/.config/ci.token
  steer token mint run/tokens backup --role operator --expires 2027-01-01`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			end, err := parseExpires(expires, time.Now())
			if err != nil {
				return err
			}
			tokens, err := openOrMake(cmd, args[0], trusting, secrets.OpenTokens)
			if err != nil {
				return err
			}
			if err := mint(tokens, secrets.Token{ID: args[1], Role: role, Expires: end}, stdout, to); err != nil {
				return err
			}
			noteRole(cmd, role)
			fmt.Fprintf(cmd.ErrOrStderr(), "The token %q expires: %s.\n", args[1], showExpires(end))
			return nil
		},
	}
	roleFlag(cmd, &role)
	cmd.Flags().StringVar(&expires, "expires", "90d", "when it ends: in 24h or 90d, at 2027-01-01 (UTC) or 2027-01-01T12:00:00Z, or never")
	cmd.Flags().StringVar(&to, "to", "", "write it to a new file, mode 0600, instead of printing it")
	return cmd
}

// mint makes a token and hands its secret over. One that nobody has got is removed again.
func mint(tokens *secrets.Tokens, t secrets.Token, stdout io.Writer, to string) error {
	hand := func(secret string) error {
		_, err := fmt.Fprintln(stdout, secret)
		return err
	}
	if to != "" {
		f, err := newFile(to)
		if err != nil {
			return err
		}
		defer f.Close()
		hand = func(secret string) error {
			_, err := fmt.Fprintln(f, secret)
			return errors.Join(err, f.Close())
		}
	}
	secret, err := tokens.Mint(t.ID, t.Role, t.Expires)
	if err == nil {
		if err = hand(secret); err != nil {
			err = errors.Join(err, tokens.Remove(t.ID))
		}
	}
	if err != nil && to != "" {
		_ = os.Remove(to)
	}
	return err
}

// newFile makes a file, 0600, that was not there. Made by root it takes the owner of its folder.
func newFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := trustedpath.TakeFolderOwner(f, filepath.Dir(path)); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return f, nil
}

// parseExpires reads --expires. The zero time is never.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "never" {
		return time.Time{}, nil
	}
	if at, ok := parseMoment(text, now, 1); ok {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("--expires %q is no time; write one like 24h, 90d, 2027-01-01, 2027-01-01T12:00:00Z or never", text)
}

// parseMoment reads a time, or how far it is from now: forwards (1) or backwards (-1).
func parseMoment(text string, now time.Time, direction int) (time.Time, bool) {
	if number, days := strings.CutSuffix(text, "d"); days {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return now.AddDate(0, 0, direction*int(n)), true
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(time.Duration(direction) * d), true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func showExpires(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

func tokenRemove(trusting *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE ID",
		Short: "Remove a token.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			tokens, err := existing(args[0], trusting, secrets.OpenTokens)
			if err != nil {
				return err
			}
			return tokens.Remove(args[1])
		},
	}
}

func tokenList(stdout io.Writer, trusting *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "list FILE",
		Short: "List the tokens, their roles, and when they expire.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			tokens, err := existing(args[0], trusting, secrets.OpenTokens)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
			for _, t := range tokens.List() {
				expires := showExpires(t.Expires)
				if t.Expired(time.Now()) {
					expires += " (expired)"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\n", t.ID, t.Role, expires)
			}
			return table.Flush()
		},
	}
}
