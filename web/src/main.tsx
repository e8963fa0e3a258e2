import { render } from "preact";

render(<main>Millrace</main>, document.getElementById("app")!);
