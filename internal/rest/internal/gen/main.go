// Command gen writes the routes of internal/rest as a page of the documentation.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/stoa-chat/stoa/internal/rest"
)

func main() {
	var page bytes.Buffer
	err := rest.WriteReference(&page)
	if err == nil {
		err = os.WriteFile(os.Args[1], page.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
