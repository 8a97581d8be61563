package rest

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/stoa-chat/stoa/internal/account"
)

func (a *API) discoveryRoutes() []Route {
	return []Route{{http.MethodGet, "/easemob/server.json", Anyone, a.serverList}}
}

// discovered finds the application that the query of the host discovery names.
func (a *API) discovered(c *Call) (*account.App, error) {
	uri := strings.TrimPrefix(c.http.URL.Path, "/")
	if id := c.Query("app_id"); id != "" {
		app, err := a.accounts.AppByAgoraID(id)
		if err != nil {
			return nil, noApp(id, uri, err)
		}
		return app, nil
	}
	key := c.Query("app_key")
	if !strings.Contains(key, "#") { // some clients escape it twice
		if again, err := url.QueryUnescape(key); err == nil {
			key = again
		}
	}
	app, err := a.accounts.App(key)
	if err != nil {
		return nil, noApp(strings.Replace(key, "#", "/", 1), uri, err)
	}
	return app, nil
}

// host is an address in the server list.
type host struct {
	Protocol string `json:"protocol"`
	Domain   string `json:"domain"`
	IP       string `json:"ip"`
	Port     string `json:"port"`
}

type hosts struct {
	Hosts []host `json:"hosts"`
}

// serverList tells a client where everything is: at the address that it has asked.
func (a *API) serverList(_ context.Context, c *Call) (Answer, error) {
	scheme, address := a.base(c.http)
	here := host{Protocol: scheme, Domain: address, Port: map[string]string{"http": "80", "https": "443"}[scheme]}
	if domain, port, err := net.SplitHostPort(address); err == nil {
		here.Domain, here.Port = domain, port
		if strings.Contains(domain, ":") { // clients put the parts together as they are
			here.Domain = "[" + domain + "]"
		}
	}
	all := hosts{[]host{here}}
	return Answer{Bare: struct {
		DeployName     string `json:"deploy_name"`
		FileVersion    string `json:"file_version"`
		AppKey         string `json:"app_key"`
		Rest           hosts  `json:"rest"`
		Socket         hosts  `json:"msync-wx"`
		UploadsInParts string `json:"uploadinparts_enable"`
	}{"stoa", "1", c.App.Key(), all, all, "false"}}, nil
}
