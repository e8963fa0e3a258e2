namespace Millrace.Log;
