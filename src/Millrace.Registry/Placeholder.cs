namespace Millrace.Registry;
