namespace Millrace.Listeners;
