package rest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/limit"
)

// burst is how many seconds' calls may come at once.
const burst = 2

// perAddress is how many times as many wrong passwords may come from one address as for one user: many may share one.
const perAddress = 10

// rates bounds how often this node is called.
type rates struct {
	routes    limit.Buckets[routeKey]
	users     limit.Buckets[int64]
	cloud     limit.Buckets[cloudKey]
	passwords limit.Buckets[passwordKey] // wrong ones for a user
	addresses limit.Buckets[passwordKey] // and from an address
}

type routeKey struct {
	app   int64
	route *Route
}

type passwordKey struct {
	app  int64
	name string // of the user, or the address
}

// sayLimit makes the web client report SERVER_BUSY.
var sayLimit = refusal{status: http.StatusTooManyRequests, slug: "reach_limit", description: "This request has reached api limit", retryAfter: "1"}

// paced refuses a call that comes too soon after others of the route, or of the user.
func (a *API) paced(c *Call) error {
	now := a.clock.Now()
	settings := a.accounts.Current(c.App).Settings
	if n := settings.RESTPerSecond; n > 0 && !a.rates.routes.Allow(routeKey{c.App.ID, c.route}, float64(n), n*burst, now) {
		return sayLimit.because(errors.New("too many calls of the route"))
	}
	if n := settings.RESTPerUserSecond; n > 0 && c.Who.User.ID != 0 && !a.rates.users.Allow(c.Who.User.ID, float64(n), n*burst, now) {
		return sayLimit.because(errors.New("too many calls of the user"))
	}
	if settings.CloudRates {
		return a.likeTheCloud(c, now)
	}
	return nil
}

// passwordToken gives a token for a password, as long as not too many were wrong. A password counts as wrong until it has
// turned out to be right: many that come at once are not tried beyond the limit either.
func (a *API) passwordToken(ctx context.Context, c *Call, g grant) (account.Token, error) {
	n := a.accounts.Current(c.App).Settings.FailedLoginsPerMinute
	if n == 0 {
		return a.accounts.PasswordToken(ctx, c.App, g.Username, g.Password, account.TTL(g.TTL))
	}
	user, from := passwordKey{c.App.ID, account.Fold(g.Username)}, passwordKey{c.App.ID, a.address(c.http)}
	perSecond, now := float64(n)/60, a.clock.Now()
	say := sayLimit
	say.retryAfter = "60"
	if !a.rates.passwords.Allow(user, perSecond, n, now) {
		return account.Token{}, say.because(errors.New("too many wrong passwords of the user"))
	}
	if !a.rates.addresses.Allow(from, perSecond*perAddress, n*perAddress, now) {
		a.rates.passwords.Return(user, perSecond, n, now)
		return account.Token{}, say.because(errors.New("too many wrong passwords from the address"))
	}
	t, err := a.accounts.PasswordToken(ctx, c.App, g.Username, g.Password, account.TTL(g.TTL))
	if !errors.Is(err, account.ErrWrongPassword) && !errors.Is(err, account.ErrNoUser) {
		a.rates.passwords.Return(user, perSecond, n, now)
		a.rates.addresses.Return(from, perSecond*perAddress, n*perAddress, now)
	}
	return t, err
}

// address is where a request comes from. A proxy adds the one that it has seen at the end.
func (a *API) address(r *http.Request) string {
	if list := r.Header.Values("X-Forwarded-For"); a.TrustProxy && len(list) > 0 {
		last := list[len(list)-1]
		return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
