export const warm: number = 1;
