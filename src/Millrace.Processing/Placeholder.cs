namespace Millrace.Processing;
